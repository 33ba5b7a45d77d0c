"""VME cards read by ORCA: where they are, which channel is which, and what the header says about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pygama_core.daq.columns import Column
from pygama_core.daq.daqfile import Block
from pygama_core.daq.orca.header import OrcaHeader
from pygama_core.daq.orca.packets import Packets

PLACE_COLUMNS = (
    Column("crate", "u1", "crate of the card"),
    Column("card", "u1", "slot of the card in its crate"),
    Column("channel", "u1", "input of the card"),
)
N_CRATES, N_SLOTS = 16, 32
LARGEST = 1 << 24
NO_GAPS = np.empty((0, 2), np.int64)


@dataclass(frozen=True, eq=False)
class CardRows:
    """What the packets of a piece gave.

    Parameters
    ----------
    blocks : rows of every channel
    times : (n_events,) [s] since the start of the clock, in file order; NaN if the clock is unknown
    gaps : (n, 2) int64 first byte, last + 1 of damaged events inside of sound packets
    not_converted : packets of a form that has no table
    """

    blocks: list[Block]
    times: np.ndarray
    gaps: np.ndarray = field(default_factory=lambda: NO_GAPS)
    not_converted: int = 0


@dataclass(frozen=True)
class CardDecoder:
    """How the packets of a kind of card are decoded.

    Parameters
    ----------
    kind : of its packets, in :mod:`pygama_core.daq.orca.card_checks`
    decode : the packets' rows
    empty : a block without rows for every channel that the header says is on
    """

    kind: int
    decode: Callable[[np.ndarray, Packets, OrcaHeader], CardRows]
    empty: Callable[[OrcaHeader], Iterator[Block]]


@dataclass(frozen=True, eq=False)
class Places:
    """Where (n,) events come from."""

    crate: np.ndarray
    card: np.ndarray
    channel: np.ndarray

    @property
    def keys(self) -> np.ndarray:
        """Channel numbers, (n,) int64."""
        crate, card, channel = (part.astype(np.int64) for part in (self.crate, self.card, self.channel))
        return np.asarray(channel_key(crate, card, channel))

    def columns(self) -> dict[str, np.ndarray]:
        """Return the PLACE_COLUMNS."""
        return {"crate": self.crate, "card": self.card, "channel": self.channel}


def places_of(location: np.ndarray) -> Places:
    """Return the places told by the second words of packets, (n,) uint32."""
    return Places(location >> 21 & 0xF, location >> 16 & 0x1F, location >> 8 & 0xFF)


def channel_key(crate: Any, card: Any, channel: Any) -> Any:
    """Return the number of a channel."""
    return (crate << 9) + ((card & 0x1F) << 4) + (channel & 0xF)


def cards_of(header: OrcaHeader, model: str) -> dict[tuple[int, int], Mapping[str, Any]]:
    """Return the settings of all cards of a model by (crate, slot)."""
    cards: dict[tuple[int, int], Mapping[str, Any]] = {}
    objects = header.plist.get("ObjectInfo")
    for crate in _dicts(objects.get("Crates") if isinstance(objects, dict) else None):
        for card in _dicts(crate.get("Cards")):
            number, slot = setting(crate, "CrateNumber", default=-1), setting(card, "Card", default=-1)
            if card.get("Class Name") == model and 0 <= number < N_CRATES and 0 <= slot < N_SLOTS:
                cards[number, slot] = card
    return cards


def setting(card: Mapping[str, Any], name: str, index: int | None = None, default: int = 0) -> int:
    """Return a number, or entry ``index`` of a list; ``default`` if it is missing or impossible."""
    value = card.get(name, default)
    if index is not None:
        value = value[index] if isinstance(value, list) and index < len(value) else default
    is_possible = isinstance(value, int | float) and abs(value) < LARGEST  # false for NaN
    return int(value) if is_possible else default


def bits_of(mask: int, n: int) -> list[int]:
    """Return which of the lowest ``n`` bits are set."""
    return [k for k in range(n) if mask >> k & 1]


def _dicts(values: Any) -> Iterator[dict[str, Any]]:
    yield from (value for value in values or () if isinstance(value, dict))
