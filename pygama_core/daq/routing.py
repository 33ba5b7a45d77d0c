"""Which LH5 table of a raw file each decoded block belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pygama_core.daq.daqfile import Block
from pygama_core.lh5.types import Array, Table


def channel_table(rawid: int) -> str:
    """Return the name of a channel's table in a raw file."""
    return f"ch{rawid:07d}/raw"


@dataclass(eq=False)
class Router:
    """Default routing: channels to ``ch<rawid>/raw``, everything else below ``extra``.

    Rows of a table have one shape. If a channel's trace length changes within a file (several configurations), rows of
    another than its first length go to ``extra/<n>_samples/ch<rawid>/raw``.

    Parameters
    ----------
    names : detector names by rawid; each gets an alias ``raw/<name>`` of its table
    """

    names: Mapping[int, str] = field(default_factory=dict)
    _widths: dict[int, int] = field(default_factory=dict)

    def place(self, block: Block) -> str:
        """Return the name of the block's table."""
        if isinstance(block.key, str):
            return f"extra/{block.key}"
        width = _width(block)
        if width == self._widths.setdefault(block.key, width):
            return channel_table(block.key)
        return f"extra/{width}_samples/{channel_table(block.key)}"

    def aliases(self) -> Iterator[tuple[str, str]]:
        """Yield (table, alias) of the named channels that were placed, by rawid."""
        for rawid in sorted(self._widths):
            if rawid in self.names:
                yield channel_table(rawid), f"raw/{self.names[rawid]}"


def _width(block: Block) -> int:
    """Return the samples of the block's traces; 0 for a table without waveforms."""
    waveform = block.table.columns.get("waveform") if isinstance(block.table, Table) else None
    values = waveform.columns["values"] if isinstance(waveform, Table) else None
    return int(values.values.shape[1]) if isinstance(values, Array) else 0
