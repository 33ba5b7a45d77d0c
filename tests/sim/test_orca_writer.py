"""The packets are taken apart here by rules written out from shared/formats/orca.md."""

import plistlib
import struct

import numpy as np
import pytest

from pygama_core.errors import ConfigError
from pygama_core.sim import orca_writer as orca
from pygama_core.sim.fcio_writer import EventTimes, FcioConfig

CARDS = (
    orca.FlashCamCard(0, 0, 0x410, (True, True, False, False, False, False)),
    orca.FlashCamCard(1, 3, 0x420, (True,) * 6),
)
TRACEMAP = (0x410 << 16, 0x410 << 16 | 1)
TIMES = EventTimes((5, 1, 250, 249_999_999, 0), (9, 8, 7, 6, 5, 4, 3, 99, 99, 99), (1, 2, 3, 4, 5, 0, 3))


def words(packet: bytes) -> list[int]:
    return list(np.frombuffer(packet, "<u4"))


def packets(content: bytes) -> list[bytes]:
    """Return the packets behind the header."""
    found, at = [], struct.unpack_from("<I", content)[0] * 4
    while at < len(content):
        first, second = struct.unpack_from("<2I", content, at)
        length = 4 * ((first & 0x3FFFF) or second)
        found.append(content[at : at + length])
        at += length
    assert at == len(content)
    return found


@pytest.mark.parametrize("filler", ["", "a", "ab", "abc"])
def test_header_is_padded_by_1_to_4_bytes(filler):
    header = orca.header(orca.OrcaHeader(CARDS, 4096, 1_767_225_600, extra={"filler": filler}))
    length, xml_length = struct.unpack_from("<2I", header)
    assert length * 4 == len(header)
    assert 1 <= len(header) - 8 - xml_length <= 4
    assert not any(header[8 + xml_length :])
    tree = plistlib.loads(header[8 : 8 + xml_length])
    assert tree["Header Length"] == len(header)


def test_header_describes_cards_records_and_run():
    header = orca.header(orca.OrcaHeader(CARDS, 4096, 1_767_225_600, run_number=12, fcid=2, gps=1))
    tree = plistlib.loads(header[8:].rstrip(b"\0"))
    crates = tree["ObjectInfo"]["Crates"]
    assert [(c["CrateNumber"], [card["Card"] for card in c["Cards"]]) for c in crates] == [(0, [0]), (1, [3])]
    assert crates[0]["Cards"][0]["CardAddress"] == 0x410
    assert crates[0]["Cards"][0]["Enabled"] == [True, True, False, False, False, False]
    [listener] = tree["ObjectInfo"]["AuxHw"]
    assert (listener["uniqueID"], listener["eventSamples"], listener["gpsMode"]) == (2, 4096, 1)
    assert tree["ObjectInfo"]["DataChain"][0]["Run Control"]["RunNumber"] == 12
    children = tree["ReadoutDescription"][0]["children"]
    assert [(child["crate"], child["station"]) for child in children] == [(0, 0), (1, 3)]
    assert tree["dataDescription"]["ORRunModel"]["Run"]["dataId"] == 3 << 18


def test_run_records():
    assert words(orca.run_record(orca.RunFlags.START | orca.RunFlags.START_SUBRUN, 1280, 1_652_986_635, subrun=2)) == [
        3 << 18 | 4,
        2 << 16 | 0x21,
        1280,
        1_652_986_635,
    ]


def test_real_run_start_is_reproduced(testdata):
    real = (testdata / "orca/fc/L200-comm-20220519-phy-geds.orca").read_bytes()
    first = packets(real)[0]
    written = orca.run_record(orca.RunFlags(0x21), 1280, 1_652_986_635)
    assert written[4:] == first[4:]  # the data id differs from file to file


def test_real_listener_config_is_reproduced(testdata):
    real = next(
        p for p in packets((testdata / "orca/fc/L200-comm-20220519-phy-geds.orca").read_bytes()) if len(p) > 9000
    )
    config = FcioConfig(tuple(words(real)[13:19]), 6402, streamid=0, mastercards=0)
    assert orca.listener_config(config)[4:] == real[4:]


def test_real_waveform_record_is_reproduced(testdata):
    content = (testdata / "orca/fc/L200-comm-20220519-phy-geds.orca").read_bytes()
    real = packets(content)[3]
    signed = list(np.frombuffer(real, "<i4"))
    times = EventTimes(tuple(signed[15:19]), tuple(signed[3:10]), tuple(signed[10:15]), event_type=1)
    channel = orca.AdcChannel(0, 0, 0x120, 0, 0)
    written = orca.adc_waveform(times, channel, np.frombuffer(real, "<u2")[38 : 38 + 2 + 6402], address_shift=0)
    assert written[4:8] == real[4:8]
    assert written[12:] == real[12:]
    assert words(written)[2] >> 27 == 0


def test_waveform_record_place():
    trace = np.arange(2 + 5, dtype=np.uint16)
    record = words(orca.adc_waveform(TIMES, orca.AdcChannel(2, 3, 0x420, 5, 17), trace))
    assert record[0] == 10 << 18 | 3 + 17 + 3  # an odd number of samples fills a word
    assert record[1] == 3 << 28 | 17 << 22 | 5 << 6 | 1
    assert record[2] == 2 << 27 | 3 << 22 | 0x42 << 14 | 5 << 10 | 17
    assert record[3:10] == [9, 8, 7, 6, 5, 4, 3]
    assert record[10:19] == [1, 2, 3, 4, 5, 5, 1, 250, 249_999_999]
    assert record[19:] == [1 << 16, 3 << 16 | 2, 5 << 16 | 4, 6]


def test_24_input_record():
    trace = np.zeros(4, dtype=np.uint16)
    record = words(orca.adc_waveform(TIMES, orca.AdcChannel(0, 1, 0x420, 23, 300), trace, n_inputs=24))
    assert record[0] >> 18 == 11
    assert record[2] & 0x3FFF == 23 << 9 | 300


def test_listener_config_with_boards():
    boards = [(4, 0x1122334455667788)]
    record = words(orca.listener_config(FcioConfig(TRACEMAP, 4096, gps=3), 1, boards=boards))
    assert len(record) == 13 + 2 + 1 + 2
    assert record[:2] == [4 << 18 | len(record), 1 << 16 | 1]
    assert record[2:13] == [1, 2, 0, 4096, 16, 1, 1, 1, 0, 1, 3]
    assert record[13:] == [*TRACEMAP, 4, 0x11223344, 0x55667788]


def test_older_listener_config_is_padded():
    assert len(words(orca.listener_config(FcioConfig(TRACEMAP, 4096)))) == 2413


def test_fcio_packet_is_extended_and_padded():
    packet = orca.fcio_packet("ORFCIOEventDecoder", b"abcde", 2, readout_id=3)
    assert words(packet)[:3] == [7 << 18, 5, 3 << 16 | 2]
    assert packet[12:] == b"abcde\0\0\0"


@pytest.mark.parametrize("body", [b"abc", bytes(4 * 0x40000)])
def test_long_packet_refuses_what_does_not_fit(body):
    with pytest.raises(ConfigError, match="write an extended packet"):
        orca.packet("ORRunDecoderForRun", body)
