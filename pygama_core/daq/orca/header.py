"""The property list in front of an ORCA file: which packet ids mean what, which card is which channel."""

from __future__ import annotations

import json
import plistlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from xml.parsers.expat import ExpatError

import numpy as np

from pygama_core.errors import DecodeError

HEADER_NAME = "OrcaHeader"
XML_AT = 8  # [bytes] behind the packet's length and the XML's length


@dataclass(frozen=True)
class Card:
    """A FlashCam card: its address, the listener that reads it, and its enabled inputs."""

    address: int
    fcid: int
    enabled: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class OrcaHeader:
    """What decoders need of the property list.

    Parameters
    ----------
    plist : the whole list
    decoders : (packet id, name of the decoder), the ids at their bit position
    cards : FlashCam cards that a listener reads, by (crate, slot)
    """

    plist: Mapping[str, Any]
    decoders: tuple[tuple[int, str], ...]
    cards: Mapping[tuple[int, int], Card]

    def to_json(self) -> str:
        """Return the property list as JSON text."""
        return json.dumps(self.plist, default=str)

    def card_table(self, what: str) -> np.ndarray:
        """Return ``address`` or ``fcid`` of all cards, (1024,) int64 at crate * 32 + slot; -1 where no card is."""
        table = np.full(1024, -1, np.int64)
        for (crate, slot), card in self.cards.items():
            if 0 <= crate < 32 and 0 <= slot < 32:
                table[crate * 32 + slot] = getattr(card, what)
        return table

    @property
    def n_channels(self) -> int:
        """Number of enabled channels of FlashCam cards."""
        return sum(len(card.enabled) for card in self.cards.values())

    def channels_of(self, fcid: int) -> int:
        """Return the number of enabled channels of a listener."""
        return sum(len(card.enabled) for card in self.cards.values() if card.fcid == fcid)


def parse_header(data: np.ndarray, start: int, stop: int, where: str) -> OrcaHeader:
    """Decode the header packet in bytes ``start`` ... ``stop`` - 1.

    Raises
    ------
    DecodeError : if it is no property list with a data description
    """
    n_xml = int.from_bytes(data[start + 4 : start + 8].tobytes(), "little")
    packet = data[start + XML_AT : stop].tobytes()
    if packet.startswith(b"mx?<"):  # text in a file whose words were swapped as a whole
        packet = np.frombuffer(packet[: len(packet) // 4 * 4], ">u4").astype("<u4").tobytes()
    text = packet[:n_xml]
    try:
        plist = plistlib.loads(text, fmt=plistlib.FMT_XML)
    except (
        ExpatError,
        ValueError,
        AttributeError,
        IndexError,
        KeyError,
        TypeError,
        plistlib.InvalidFileException,
    ) as error:
        raise DecodeError(
            f"{where}: ORCA header at byte {start}: the {n_xml} bytes of XML are no property list ({error}); without "
            f"it no packet can be told from another. The file is damaged in its header"
        ) from error
    description = plist.get("dataDescription") if isinstance(plist, dict) else None
    if not isinstance(description, dict):
        raise DecodeError(
            f"{where}: ORCA header at byte {start}: no 'dataDescription' in the property list; expected the table of "
            f"packet ids. Was the file written by ORCA?"
        )
    return OrcaHeader(plist, tuple(_decoders(description)), dict(_cards(plist)))


def _decoders(description: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    for records in description.values():
        for record in _dicts(list(records.values()) if isinstance(records, dict) else ()):
            number, name = record.get("dataId"), record.get("decoder")
            if isinstance(number, int) and isinstance(name, str):
                yield number & 0xFFFFFFFF, name


def _cards(plist: Mapping[str, Any]) -> Iterator[tuple[tuple[int, int], Card]]:
    listeners = dict(_listeners(plist.get("ReadoutDescription", ())))
    info = plist.get("ObjectInfo")
    for crate in _dicts(info.get("Crates", ()) if isinstance(info, dict) else ()):
        for card in _dicts(crate.get("Cards", ())):
            place = (_integer(crate, "CrateNumber"), _integer(card, "Card"))
            inputs = card.get("Enabled")
            if place in listeners and _integer(card, "CardAddress") >= 0:
                enabled = tuple(i for i, is_on in enumerate(inputs if isinstance(inputs, list) else ()) if is_on)
                yield place, Card(_integer(card, "CardAddress"), listeners[place], enabled)


def _listeners(nodes: Any) -> Iterator[tuple[tuple[int, int], int]]:
    """Yield (crate, slot) and listener number of every card in the tree of what reads what."""
    for node in _dicts(nodes):
        children = node.get("children", ())
        if node.get("name") == "ORFlashCamListenerModel":
            for child in _dicts(children):
                yield (_integer(child, "crate"), _integer(child, "station")), _integer(node, "uniqueID")
        else:
            yield from _listeners(children)


def _dicts(values: Any) -> Iterator[dict[str, Any]]:
    if isinstance(values, list | tuple):
        yield from (value for value in values if isinstance(value, dict))


def _integer(node: Mapping[str, Any], name: str) -> int:
    """Return an entry of a node, or -1 if it is missing or no number."""
    value = node.get(name)
    return value if isinstance(value, int) else -1
