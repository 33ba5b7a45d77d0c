"""Damaged ORCA files: what is intact is kept exactly, what is lost is counted, nothing hangs or crashes."""

import numpy as np
import pytest
from daq_streams import orca_fc_packets, orca_fcio_packets

N_EVENTS = 8
FILES = {"fc": orca_fc_packets(N_EVENTS), "fcio": orca_fcio_packets(N_EVENTS)}
FIRST = 3  # packet of the first event


@pytest.fixture(params=FILES)
def packets(request):
    return FILES[request.param]


def ends_of(packets):
    return np.cumsum([len(packet) for packet in packets])


def test_cut_around_every_packet(decode, packets):
    stream, ends = b"".join(packets), ends_of(packets)
    for k in range(FIRST, FIRST + N_EVENTS):
        for cut in (ends[k - 1], ends[k - 1] + 1, ends[k - 1] + 4, ends[k - 1] + 9, ends[k] - 4, ends[k] - 1):
            decoded = decode(stream[:cut])
            assert decoded.event_numbers == list(range(k - FIRST)), (k, cut)
            assert decoded.summary.truncated_tail == cut - ends[k - 1]
            assert decoded.summary.n_gaps == 0
            decoded.assert_intact()


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 64, 1000])
@pytest.mark.parametrize("inside", [False, True])
def test_inserted_bytes(decode, packets, n, inside):
    stream, ends = b"".join(packets), ends_of(packets)
    for k in range(FIRST, FIRST + N_EVENTS):
        at = int(ends[k - 1]) + (len(packets[k]) // 2 if inside else 0)
        decoded = decode(stream[:at] + np.random.default_rng(k).bytes(n) + stream[at:])
        # bytes in front of a packet may as well be the last ones of the packet before, had others come into that
        expected = set(range(N_EVENTS)) - {k - FIRST - (not inside)}
        assert set(decoded.event_numbers) >= expected, (k, n)
        assert decoded.tables["RunControl"].n_rows >= 1
        assert decoded.summary.n_gaps + (decoded.summary.truncated_tail > 0) >= 1
        assert not decoded.summary.dead_time_reliable or decoded.summary.truncated_tail


@pytest.mark.parametrize("bit", range(32))
def test_flipped_bits_of_headers_cost_one_packet(decode, packets, bit):
    stream, ends = b"".join(packets), ends_of(packets)
    for k in (FIRST, FIRST + 4):
        damaged = bytearray(stream)
        damaged[int(ends[k - 1]) + bit // 8] ^= 1 << (bit % 8)
        decoded = decode(damaged)
        assert set(decoded.event_numbers) >= set(range(N_EVENTS)) - {k - FIRST}, bit
        assert decoded.tables["RunControl"].n_rows == 2
        if decoded.event_numbers != list(range(N_EVENTS)):
            assert decoded.summary.n_gaps or decoded.summary.not_converted
        decoded.assert_intact()


@pytest.mark.parametrize("seed", range(60))
def test_random_damage_never_crashes(decode, packets, seed):
    rng = np.random.default_rng(seed)
    damaged, start = bytearray(b"".join(packets)), len(packets[0])
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(start, len(damaged)))
        damaged[at : at + int(rng.integers(0, 30))] = rng.bytes(int(rng.integers(0, 30)))
    decoded = decode(damaged)
    summary = decoded.summary
    assert summary.bytes_skipped + summary.truncated_tail <= len(damaged) - start


def test_zeroed_packet_in_a_real_file(testdata, decode):
    """The extended packets behind the damage are found again: one of 497 headers is lost."""
    content = bytearray((testdata / "orca/fcio/l200-p13-r007-aph-20250101T003931Z.orca").read_bytes())
    middle = len(content) // 2
    for damage in (bytes(content[:middle]) + b"\x01" * 7 + bytes(content[middle:]),):
        decoded = decode(damage)
        assert decoded.tables["fcid_1/evt_hdr"].n_rows >= 495
        assert decoded.n_rows == 61
        assert decoded.tables["RunControl"].n_rows == 3
        assert decoded.summary.n_gaps == 1
