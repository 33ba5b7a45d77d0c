"""Event functions that come with the package; the names of the reference are accepted for the same task."""

from __future__ import annotations

import numpy as np

from pygama_core.evt.build import select_channels
from pygama_core.evt.calls import event_function
from pygama_core.evt.hits import Hits
from pygama_core.lh5.types import VectorOfVectors


@event_function("pygama_core.evt.functions.gather_pulse_data", "pygama.evt.modules.spms.gather_pulse_data")
def gather_pulse_data(hits: Hits, keys: tuple[int, ...], observable: str) -> VectorOfVectors:
    """Gather a hit column [event][channel], or a ragged one [event][channel][pulse], in the order of the channels.

    Parameters
    ----------
    observable : ``tier.column``
    """
    column, present = hits.column(observable)
    chosen = select_channels(hits, keys, ())
    chosen = chosen.where(present[chosen.hits])
    picked = column.rows(chosen.hits)
    values = picked if isinstance(picked, VectorOfVectors) else picked.values
    return VectorOfVectors(values, np.cumsum(chosen.lengths(hits.tcm.n_events)), dict(column.attrs))


@event_function("pygama_core.evt.functions.gather_tcm_data", "pygama.evt.modules.spms.gather_tcm_data")
def gather_tcm_data(hits: Hits, keys: tuple[int, ...], tcm_field: str = "table_key") -> VectorOfVectors:
    """Gather table_key, row_in_table or index, aligned with :func:`gather_pulse_data`."""
    return gather_pulse_data(hits, keys, f"tcm.{tcm_field.removeprefix('tcm.')}")
