"""Damaged FCIO streams: what is intact is kept exactly, what is lost is counted, nothing hangs or crashes."""

import numpy as np
import pytest
from daq_streams import event_times, fcio_config, fcio_messages, traces

from pygama_core.errors import DecodeError
from pygama_core.sim import fcio_writer as fw

N_EVENTS = 8
MESSAGES = fcio_messages(N_EVENTS)
STREAM = b"".join(MESSAGES)
ENDS = np.cumsum([len(message) for message in MESSAGES])
CONFIG_END = int(ENDS[1])


def frame_edges(message, start):
    """Byte positions of the tag and of all frame sizes in a message."""
    at, edges = start + 4, [start]
    while at < start + len(message):
        edges.append(at)
        at += 4 + int.from_bytes(message[at - start : at - start + 4], "little")
    return edges


CUTS = sorted(
    {
        edge + shift
        for message, end in zip(MESSAGES[2:], ENDS[2:], strict=True)
        for edge in frame_edges(message, int(end) - len(message))
        for shift in (-1, 0, 1, 3, 4, 5)
        if CONFIG_END <= edge + shift < len(STREAM)
    }
)


def test_cut_at_every_frame(decode):
    assert len(CUTS) > 200
    for cut in CUTS:
        decoded = decode(STREAM[:cut])
        n_whole = int((ENDS[2:] <= cut).sum())
        assert decoded.event_numbers == list(range(n_whole)), cut
        assert decoded.n_rows == 3 * n_whole
        assert decoded.summary.truncated_tail == cut - max(int(ENDS[1 + n_whole]), CONFIG_END)
        assert decoded.summary.n_gaps == 0


@pytest.mark.parametrize("cut", [1, 5, 60, 68, 70, 100, CONFIG_END - 25])
def test_cut_before_the_configuration_ends(decode, cut):
    with pytest.raises(DecodeError, match=r"no Config record|none of the known formats"):
        decode(STREAM[:cut])


@pytest.mark.parametrize("where", range(2, 2 + N_EVENTS))
@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 100, 1000])
def test_inserted_bytes_cost_one_event(decode, where, n):
    rng = np.random.default_rng(n)
    at = int(ENDS[where]) - len(MESSAGES[where]) // 2
    decoded = decode(STREAM[:at] + rng.bytes(n) + STREAM[at:])
    assert decoded.event_numbers == [k for k in range(N_EVENTS) if k != where - 2]
    decoded.assert_intact()
    if where < 1 + N_EVENTS:
        assert decoded.summary.skipped == ((int(ENDS[where - 1]), int(ENDS[where]) + n),)
        assert not decoded.summary.dead_time_reliable
    else:
        assert decoded.summary.truncated_tail + decoded.summary.bytes_skipped == len(MESSAGES[where]) + n


@pytest.mark.parametrize("where", range(2, 2 + N_EVENTS))
def test_bytes_inserted_between_events_cost_none(decode, where):
    at = int(ENDS[where - 1])
    decoded = decode(STREAM[:at] + b"\x17\x2a\x33\x7f\x05\x66\x77" + STREAM[at:])
    assert decoded.event_numbers == list(range(N_EVENTS))
    assert decoded.summary.bytes_skipped == 7
    decoded.assert_intact()


@pytest.mark.parametrize("seed", range(60))
def test_lost_bytes_cost_the_events_they_hit(decode, seed):
    rng = np.random.default_rng(seed)
    start = int(rng.integers(CONFIG_END, len(STREAM)))
    stop = min(start + int(rng.integers(1, 300)), len(STREAM))
    decoded = decode(STREAM[:start] + STREAM[stop:])
    hit = {k for k in range(N_EVENTS) if start < ENDS[2 + k] and stop > ENDS[1 + k]}
    kept = set(decoded.event_numbers)
    assert kept >= set(range(N_EVENTS)) - hit
    assert len(hit & kept) <= 1  # whole records may be cut out; a record that lost samples is never made up
    for table in decoded.channels.values():
        intact = ~np.isin(table.array("eventnumber"), list(hit))
        values = table["waveform"].array("values")[intact]
        expected = (1000 * table.array("channel") + table.array("eventnumber"))[intact, np.newaxis] + np.arange(20)
        np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize("bit", range(0, 32, 3))
@pytest.mark.parametrize("where", [3, 6])
def test_flipped_bits_of_tags_and_sizes_cost_one_event(decode, where, bit):
    start = int(ENDS[where - 1])
    for edge in frame_edges(MESSAGES[where], start):
        damaged = bytearray(STREAM)
        damaged[edge + bit // 8] ^= 1 << (bit % 8)
        decoded = decode(damaged)
        kept = decoded.event_numbers
        assert set(kept) >= set(range(N_EVENTS)) - {where - 2}, (edge - start, bit)
        if kept != list(range(N_EVENTS)):
            summary = decoded.summary
            assert summary.n_gaps > 0
            assert summary.bytes_skipped == len(MESSAGES[where])


@pytest.mark.parametrize("seed", range(40))
def test_zeroed_parts_are_counted(decode, seed):
    rng = np.random.default_rng(seed)
    start = int(rng.integers(CONFIG_END, len(STREAM) - 200))
    stop = start + int(rng.integers(40, 600))
    damaged = bytearray(STREAM)
    damaged[start:stop] = bytes(len(damaged[start:stop]))
    decoded = decode(damaged)
    hit = {k for k in range(N_EVENTS) if start < ENDS[2 + k] and stop > ENDS[1 + k]}
    assert set(decoded.event_numbers) >= set(range(N_EVENTS)) - hit - {0}
    n_missing = N_EVENTS - len(decoded.event_numbers)
    assert n_missing == 0 or decoded.summary.bytes_skipped + decoded.summary.truncated_tail >= 40


@pytest.mark.parametrize("seed", range(80))
def test_random_damage_never_crashes_or_shrinks_the_rest(decode, seed):
    rng = np.random.default_rng(1000 + seed)
    damaged = bytearray(STREAM)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(CONFIG_END, len(damaged)))
        damaged[at : at + int(rng.integers(0, 30))] = rng.bytes(int(rng.integers(0, 30)))
    decoded = decode(damaged)
    summary = decoded.summary
    n_accounted = summary.bytes_skipped + summary.truncated_tail
    assert n_accounted <= len(damaged) - CONFIG_END
    assert decoded.n_rows >= 3  # three places hit at most six of eight events


def test_saturated_samples_do_not_look_like_records(decode):
    """All ones read as tag 1: after damage, none of a saturated trace may be taken for a record."""
    config = fcio_config(n_samples=2000)
    high = np.full((3, 2002), 0xFFFF, np.uint16)
    events = [fw.event(event_times(k), high) for k in range(4)]
    stream = fw.protocol() + fw.config(config) + events[0] + events[1][50:] + events[2] + events[3]
    decoded = decode(stream)
    assert decoded.event_numbers == [0, 2, 3]
    assert decoded.summary.n_gaps == 1


def test_damage_in_sparse_events(decode):
    messages = [fw.sparse_event(event_times(k), [0, 2], traces(k)[[0, 2]]) for k in range(6)]
    stream = fw.protocol() + fw.config(fcio_config())
    listed = fw.sparse_event(event_times(9), [0, 3], traces(9)[[0, 2]])  # there is no trace 3
    decoded = decode([stream, *messages[:3], listed, messages[3][:-9], *messages[4:]])
    assert decoded.event_numbers == [0, 1, 2, 4, 5]
    assert decoded.summary.bytes_skipped == len(listed) + len(messages[3]) - 9
    decoded.assert_intact()


def test_frames_behind_an_event_are_told(decode):
    messages = fcio_messages(3)
    extra = b"\x05\0\0\0hello"
    decoded = decode([*messages[:4], extra, messages[4]])
    assert decoded.event_numbers == [0, 1, 2]
    assert decoded.summary.bytes_skipped == len(extra)


def test_an_event_before_the_damaged_configuration_is_lost(decode):
    second = bytearray(MESSAGES[1])
    second[0] ^= 4
    decoded = decode([*fcio_messages(2), MESSAGES[0], bytes(second), *fcio_messages(2)[2:]])
    assert decoded.event_numbers == [0, 1]
    assert decoded.n_rows == 12  # the configuration before stays in force
    assert decoded.summary.n_gaps == 1
