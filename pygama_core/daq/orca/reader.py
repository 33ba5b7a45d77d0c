"""ORCA files."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pygama_core.daq.columns import with_waveform
from pygama_core.daq.daqfile import Block, DaqFile, piece_bytes
from pygama_core.daq.fcio.index import UNLIMITED, Indexer
from pygama_core.daq.fcio.stream import FcioStream
from pygama_core.daq.gather import rows_of
from pygama_core.daq.orca import packets as pk
from pygama_core.daq.orca.cards import CARDS
from pygama_core.daq.orca.header import HEADER_NAME, OrcaHeader, parse_header
from pygama_core.daq.orca.listener import CONFIG, ListenerConfig, read_listener_config
from pygama_core.daq.orca.packets import Packets, Walker
from pygama_core.daq.orca.run import RUN, run_block
from pygama_core.daq.orca.waveform import MANY_INPUTS, SIX_INPUTS, WAVEFORM, unknown_cards, waveform_blocks
from pygama_core.daq.sniff import ORCA_XML, orca_byte_order
from pygama_core.daq.source import Source, word_swapped
from pygama_core.errors import DecodeError
from pygama_core.lh5.types import Scalar, Table

KINDS = {
    RUN.name: pk.RUN,
    SIX_INPUTS: pk.WAVEFORM,
    MANY_INPUTS: pk.WAVEFORM,
    CONFIG.name: pk.LISTENER_CONFIG,
    "ORFCIOConfigDecoder": pk.FCIO_CONFIG,
    "ORFCIOEventDecoder": pk.FCIO,
    "ORFCIOEventHeaderDecoder": pk.FCIO,
    "ORFCIOStatusDecoder": pk.FCIO,
    **{name: card.kind for name, card in CARDS.items()},
}
EVENT_KINDS = (pk.WAVEFORM, pk.FCIO, *(card.kind for card in CARDS.values()))
PAYLOAD_AT = 12  # [bytes] where the FCIO stream starts in its packet


class OrcaFile(DaqFile):
    """A file written by ORCA."""

    format_name = "orca"

    def __init__(self, source: Source) -> None:
        head = source.head
        if not head.startswith(ORCA_XML[0]) and len(head) < 12:
            raise DecodeError(
                f"{source.path}: {len(head)} bytes are no ORCA file; expected a header packet. The file is cut"
            )
        if head.startswith(ORCA_XML[0]):
            raise DecodeError(
                f"{source.path}: the file starts with the property list; expected 8 bytes of packet header in front. "
                f"Such files (ORCA before data version 1) are not supported: convert the file with OrcaRoot"
            )
        if orca_byte_order(head[:12]) == ">":
            source = word_swapped(source)
        super().__init__(source)
        self._configs: dict[int, ListenerConfig] = {}
        self._streams: dict[int, FcioStream] = {}
        self._names: dict[str, int] = {}
        self._seen: set[int] = set()

    def _decode(self, max_bytes: int | None, max_events: int | None) -> Iterator[Block]:
        walker = self._walker()
        header = OrcaHeader({}, (), {})
        left = UNLIMITED if max_events is None else max_events
        while (
            left > 0
            and (packets := walker.next(_ids(header), piece_bytes(max_bytes, header.n_channels), left)) is not None
        ):
            names = [HEADER_NAME, *(name for _, name in header.decoders)]
            self._count(packets, names)
            packets = packets.pick(packets.row >= 0)
            left -= int(np.isin(_kinds(names)[packets.row], EVENT_KINDS).sum())
            if len(packets) and packets.row[-1] == 0:
                yield from self._decode_packets(packets.pick(slice(0, len(packets) - 1)), header, names)
                header = self._read_header(header, int(packets.start[-1]), int(packets.stop[-1]))
                yield Block(HEADER_NAME, self._once(HEADER_NAME), Scalar(header.to_json()))
            else:
                yield from self._decode_packets(packets, header, names)
        if not header.decoders:
            raise DecodeError(
                f"{self.source.path}: no complete ORCA header packet; expected one at byte 0. The file is cut"
            )
        if left <= 0:
            self._tally.note(f"reading stopped after {max_events} packets, as asked for")
        yield from self._empty_channels(header)

    def _walker(self) -> Walker:
        return Walker(self.source.data)

    def _read_header(self, header: OrcaHeader, start: int, stop: int) -> OrcaHeader:
        """Decode a header packet; a damaged one behind the first leaves the one before in force."""
        try:
            return parse_header(self.source.data, start, stop, str(self.source.path))
        except DecodeError as error:
            if not header.decoders:
                raise
            self._tally.gap(start, stop)
            self._tally.note(f"the header before stays in force: {error}")
            return header

    def _count(self, packets: Packets, names: list[str]) -> None:
        for row in np.unique(packets.row[packets.row >= 0]).tolist():
            is_converted = row == 0 or names[row] in KINDS
            self._tally.count(names[row], int((packets.row == row).sum()), converted=is_converted)
        gaps = packets.pick(packets.row == pk.GAP)
        for start, stop in zip(gaps.start.tolist(), gaps.stop.tolist(), strict=True):
            self._tally.gap(start, stop)
        tail = packets.pick(packets.row == pk.TAIL)
        self._tally.truncated_tail += int((tail.stop - tail.start).sum())

    def _decode_packets(self, packets: Packets, header: OrcaHeader, names: list[str]) -> Iterator[Block]:
        data = self.source.data
        kind = _kinds(names)[packets.row]
        if (runs := packets.pick(kind == pk.RUN)).row.size:
            yield run_block(data, runs)
        for name in (SIX_INPUTS, MANY_INPUTS):
            chosen = packets.pick(np.array([n == name for n in names])[packets.row])
            if len(chosen):
                yield from self._waveforms(chosen, header, name)
        for name in CARDS:
            chosen = packets.pick(np.array([n == name for n in names])[packets.row])
            if len(chosen):
                yield from self._cards(chosen, header, name)
        yield from self._fcio(packets.pick((kind == pk.FCIO) | (kind == pk.FCIO_CONFIG)))
        for place in np.flatnonzero(kind == pk.LISTENER_CONFIG).tolist():
            config = read_listener_config(data, packets.pick(slice(place, place + 1)))
            self._configs[config.fcid] = config
            yield Block(CONFIG.name, self._once(f"fcid_{config.fcid}/config"), config.struct)

    def _waveforms(self, packets: Packets, header: OrcaHeader, decoder: str) -> Iterator[Block]:
        data = self.source.data
        if n_unknown := unknown_cards(data, packets, header):
            name = f"{decoder} of cards not in the header"
            self._tally.not_converted[name] = self._tally.not_converted.get(name, 0) + n_unknown
        first_and_last = []
        for block in waveform_blocks(data, packets, decoder, header, self._configs):
            self._seen.add(int(block.key))
            if isinstance(block.table, Table):
                ids, times = block.table.array("packet_id"), block.table.array("timestamp")
                first_and_last += [(ids[0], times[0]), (ids[-1], times[-1])]
            yield block
        if first_and_last:
            self._tally.saw_times(np.array([min(first_and_last)[1], max(first_and_last)[1]]))

    def _cards(self, packets: Packets, header: OrcaHeader, decoder: str) -> Iterator[Block]:
        """Decode packets of a kind of VME card."""
        rows = CARDS[decoder].decode(self.source.data, packets, header)
        for start, stop in rows.gaps.tolist():
            self._tally.gap(start, stop)
        if rows.not_converted:
            name = f"{decoder} of presorted files"
            self._tally.not_converted[name] = self._tally.not_converted.get(name, 0) + rows.not_converted
        self._tally.saw_times(rows.times)
        self._seen.update(int(block.key) for block in rows.blocks)
        yield from rows.blocks

    def _fcio(self, packets: Packets) -> Iterator[Block]:
        """Decode packets that hold FCIO streams, one stream after the other."""
        if not len(packets):
            return
        data = self.source.data
        identity = rows_of(data, packets.start, "<u4", 3)[:, 2]
        for number in np.unique(identity).tolist():
            mine = packets.pick(identity == number)
            if number not in self._streams:
                self._streams[number] = FcioStream(self._tally, fcid=number & 0xFFFF)
            stream = self._streams[number]
            ranges = np.stack([mine.start + PAYLOAD_AT, mine.stop], 1)
            indexer = Indexer(data, ranges, scan=False, packet_ids=mine.number)
            while (index := indexer.next(stream.sizes)) is not None:
                yield from stream.decode(index)

    def _empty_channels(self, header: OrcaHeader) -> Iterator[Block]:
        for card in CARDS.values():
            yield from (block for block in card.empty(header) if block.key not in self._seen)
        for stream in self._streams.values():
            yield from stream.empty_channels()
        for config in self._configs.values():
            none = np.empty((0, config.fields["nsamples"]), np.uint16)
            for key in sorted(set(config.keys.tolist()) - self._seen):
                yield Block(WAVEFORM.name, key, with_waveform(WAVEFORM.empty(), none, config.dt))

    def _once(self, name: str) -> str:
        """Return the name, with a number from its second use on."""
        n = self._names.get(name, 0)
        self._names[name] = n + 1
        return f"{name}_{n}" if n else name


def _kinds(names: list[str]) -> np.ndarray:
    return np.array([KINDS.get(name, pk.OTHER) for name in names])


def _ids(header: OrcaHeader) -> np.ndarray:
    """Return packet ids at their bit position and their kinds, (n_ids, 2) int64; the header's own comes first."""
    kinds = [(number, KINDS.get(name, pk.OTHER)) for number, name in header.decoders]
    return np.array([(0, pk.HEADER), *kinds], np.int64)
