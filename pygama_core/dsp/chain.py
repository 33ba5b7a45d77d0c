"""What callers use: a configuration with one channel's parameters, ready to run on tables."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from pygama_core.dsp.config import ChainConfig, load_config
from pygama_core.dsp.plain import Program
from pygama_core.dsp.plan import Plan
from pygama_core.dsp.resolve import Layout, layout_of, resolve
from pygama_core.dsp.rewrite import rewrite
from pygama_core.errors import ConfigError
from pygama_core.lh5.types import Table

Engine: TypeAlias = Literal["plain", "rewritten"]


class ProcessingChain:
    """A processing chain for one channel.

    Parameters
    ----------
    config : path of a configuration file, its content, or a parsed :class:`ChainConfig`
    parameters : the channel's values for ``db.`` look-ups, nested: ``{"pz": {"tau1": "450*us"}}``
    outputs : names of the wanted columns; default: those of the configuration
    name : what messages call the table, such as ``ch1104000``
    block_rows : rows that pass through all processors together; default: as many as fit the cache
    engine : plain runs what the configuration says; rewritten first replaces convolutions with kernels of known form
        by running sums, which gives the same up to rounding

    Raises
    ------
    ConfigError : if the configuration's shape is wrong; what depends on the table is checked with its first rows
    """

    def __init__(
        self,
        config: Path | str | Mapping[str, Any] | ChainConfig,
        *,
        parameters: Mapping[str, Any] | None = None,
        outputs: Sequence[str] | None = None,
        name: str = "",
        block_rows: int | None = None,
        engine: Engine = "plain",
    ) -> None:
        self.config = config if isinstance(config, ChainConfig) else load_config(config)
        self.parameters = parameters or {}
        self.outputs = outputs
        self.name = name
        self.block_rows = block_rows
        if engine not in get_args(Engine):
            raise ConfigError(f"engine {engine!r}; there are {', '.join(get_args(Engine))}")
        self.engine = engine
        self._programs: dict[Layout, Program] = {}
        self._lock = threading.Lock()

    def plan_for(self, table: Table) -> Plan:
        """Return the plan for tables of this layout.

        Raises
        ------
        ConfigError : if the configuration does not fit the table
        """
        return self._program(table).plan

    def execute(self, table: Table, first_row: int = 0) -> Table:
        """Process all rows of a table; threads may call this at the same time.

        Parameters
        ----------
        table : (n_rows) input columns, those of the plan at least
        first_row : row of the file that the table begins with, for messages

        Returns
        -------
        Table : (n_rows) output columns

        Raises
        ------
        ConfigError : if the configuration does not fit the table
        ProcessorError : if a processor refuses its arguments
        """
        return self._program(table).execute(table, first_row)

    def _program(self, table: Table) -> Program:
        layout = layout_of(table)
        with self._lock:
            if layout not in self._programs:
                plan = resolve(self.config, layout, self.parameters, self.outputs)
                if self.engine == "rewritten":
                    plan = rewrite(plan)
                self._programs[layout] = Program.make(plan, self.name, self.block_rows)
            return self._programs[layout]
