"""Which part of a DAQ file is wanted: channels, and a range of records."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from pygama_core.errors import ConfigError
from pygama_core.lh5.types import Array, Table

if TYPE_CHECKING:
    from pygama_core.daq.daqfile import Block


@dataclass(frozen=True)
class Selection:
    """Rows to keep.

    Parameters
    ----------
    channels : rawids of digitised channels; None keeps all. Everything that is no channel is kept
    first, last : numbers (``packet_id``) of the first record to keep and of the first one behind it; None is open
    """

    channels: frozenset[int] | None = None
    first: int | None = None
    last: int | None = None

    def __post_init__(self) -> None:
        if self.first is not None and self.last is not None and self.first >= self.last:
            raise ConfigError(f"selection of records {self.first}:{self.last} is empty; need first < last")

    @classmethod
    def of(cls, channels: Iterable[int] | None = None, packets: str | None = None) -> Selection:
        """Build from rawids and a text ``FIRST:LAST`` of which either end may be left out.

        Raises
        ------
        ConfigError : if the text is no range
        """
        ends: list[int | None] = [None, None]
        if packets is not None:
            parts = packets.split(":")
            if len(parts) != 2 or not all(part.strip().isdecimal() or not part.strip() for part in parts):
                raise ConfigError(f"records {packets!r}: expected FIRST:LAST, such as 1000:2000, 1000: or :2000")
            ends = [int(part) if part.strip() else None for part in parts]
        return cls(None if channels is None else frozenset(channels), *ends)

    @property
    def is_everything(self) -> bool:
        return self == Selection()

    def apply(self, block: Block) -> Block | None:
        """Return what is wanted of a block; None if it is of a channel that is not."""
        if self.channels is not None and isinstance(block.key, int) and block.key not in self.channels:
            return None
        ids = packet_ids(block)
        if ids is None or not isinstance(block.table, Table) or (self.first is None and self.last is None):
            return block
        keep = np.ones(len(ids), bool)
        if self.first is not None:
            keep &= ids >= self.first
        if self.last is not None:
            keep &= ids < self.last
        return block if keep.all() else replace(block, table=block.table.rows(np.flatnonzero(keep)))

    def is_behind(self, block: Block) -> bool:
        """Whether all rows of a channel's block lie behind the range."""
        ids = packet_ids(block)
        if self.last is None or ids is None or not len(ids) or not isinstance(block.key, int):
            return False
        return int(ids.min()) >= self.last


@dataclass(eq=False)
class EndOfRange:
    """Tells when no more rows of the range can follow.

    Blocks come piece by piece, in any order within a piece: once a channel has a second block behind the range, the
    piece that holds the end of the range is over.
    """

    selection: Selection
    _behind: set[int] = field(default_factory=set)

    def is_reached(self, block: Block) -> bool:
        if not isinstance(block.key, int) or not self.selection.is_behind(block):
            return False
        if block.key in self._behind:
            return True
        self._behind.add(block.key)
        return False


def packet_ids(block: Block) -> np.ndarray | None:
    """Return the record numbers of a block's rows; None if it has none."""
    column = block.table.columns.get("packet_id") if isinstance(block.table, Table) else None
    return column.values if isinstance(column, Array) else None
