"""Events built from columns in memory."""

from dataclasses import dataclass

import numpy as np

from pygama_core.evt.build import build_events
from pygama_core.evt.config import parse_event_config
from pygama_core.evt.hits import Hits, column_template
from pygama_core.evt.tcm import Tcm
from pygama_core.lh5 import Table, VectorOfVectors

CHANNELS = [3, 1, 2]  # not ascending: gathered lists follow the configuration
RAGGED = {
    ("hit", 1): {"p": VectorOfVectors.from_rows([[1.0, 2.0], []], float, {"units": "pe"})},
    ("hit", 2): {"p": VectorOfVectors.from_rows([[5.0]], float, {"units": "pe"})},
}


@dataclass
class Memory:
    """Columns held in memory, in place of files."""

    tables: dict

    def read(self, tier, key, columns):
        table = self.tables.get((tier, key), {})
        return Table({name: table[name] for name in columns if name in table})

    def template(self, name, found):
        tier, _, column = name.partition(".")
        everywhere = [t[column] for (where, _), t in self.tables.items() if where == tier and column in t]
        return column_template(found.values() or everywhere)


def tcm_of(events):
    keys = [key for event in events for key in event]
    rows = [keys[:i].count(key) for i, key in enumerate(keys)]
    ends = np.cumsum([len(event) for event in events], dtype=np.int64)
    return Tcm(np.array(keys, np.int64), np.array(rows, np.int64), ends)


def build(events, tables, operations, first_index=0, **extra):
    tcm = tcm_of(events)
    config = parse_event_config(
        {"channels": {"geds": CHANNELS, "two": [2], "none": []}, "operations": operations, **extra}, "evt.yaml", {"hit"}
    )
    hits = Hits(tcm, Memory(tables), config.columns_by_tier(), first_index)
    return build_events(config, hits), hits
