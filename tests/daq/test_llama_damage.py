"""Damaged llamaDAQ files: what is intact is kept exactly, what is lost is counted, no event is invented."""

import numpy as np
import pytest
from llama_streams import CHANNELS, Llama, event, events, v1_chunk

from pygama_core.errors import DecodeError
from pygama_core.sim import llama_writer as lw
from pygama_core.sim.struck_writer import sis3316_event

N = 15
PARTS = [lw.file_header(CHANNELS), *map(sis3316_event, events(N))]
STREAM = b"".join(PARTS)
ENDS = np.cumsum([len(part) for part in PARTS]).tolist()
CHUNKS = [[event(0), event(3), event(6)], [event(1), event(4)], [event(9), event(12)], [event(7), event(10), event(13)]]
V1_PARTS = [lw.file_header(CHANNELS[:2], version=1), *map(v1_chunk, CHUNKS)]
V1_NUMBERS = [0, 3, 6, 1, 4, 9, 12, 7, 10, 13]


@pytest.fixture
def read(tmp_path):
    def read_bytes(content):
        (tmp_path / "run.bin").write_bytes(bytes(content))
        return Llama(tmp_path / "run.bin")

    return read_bytes


def test_cut_at_every_byte(read):
    for cut in range(ENDS[3], ENDS[7]):
        file = read(STREAM[:cut])
        complete = sum(end <= cut for end in ENDS) - 1
        assert file.numbers == list(range(complete)), cut
        assert file.summary.truncated_tail == cut - ENDS[complete]
        assert file.summary.n_gaps == 0


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 64, 1000])
@pytest.mark.parametrize("inside", [0, 17, 60])
def test_inserted_bytes_cost_the_event_they_hit(read, n, inside):
    for k in range(1, N - 3):
        at = ENDS[k] + inside
        file = read(STREAM[:at] + np.random.default_rng(k).bytes(n) + STREAM[at:])
        assert set(file.numbers) >= set(range(N)) - {k - 1, k}, k
        assert file.summary.n_gaps == 1


@pytest.mark.parametrize("n", [1, 2, 4, 9, 40])
def test_lost_bytes_cost_the_event_they_hit(read, n):
    for k in range(1, N - 3):
        at = ENDS[k] + 20
        file = read(STREAM[:at] + STREAM[at + n :])
        assert set(file.numbers) >= set(range(N)) - {k - 1, k}, k
        assert file.summary.n_gaps == 1


def test_damaged_marks_cost_one_event(read):
    """Channel id, format bits, marker and lengths."""
    for k in range(N):
        head = 4 * CHANNELS[k % 3].header_words
        # the length word is the last of the header but for the averaging word
        last = head - (8 if k % 3 == 2 else 4)
        for at, mask in ((0, 0x04), (1, 0x80), (last, 0x01), (last + 1, 0x10), (last + 3, 0x80), (last + 3, 0x08)):
            damaged = bytearray(STREAM)
            damaged[ENDS[k] + at] ^= mask
            file = read(damaged)
            assert file.numbers == [j for j in range(N) if j != k], (k, at)
            summary = file.summary
            if k < N - 1:
                assert summary.skipped == ((ENDS[k], ENDS[k + 1]),)
            assert summary.bytes_skipped + summary.truncated_tail == ENDS[k + 1] - ENDS[k]


@pytest.mark.parametrize("byte", [2, 3])
def test_damaged_time_costs_one_event(read, byte):
    for k in range(N - 3):
        damaged = bytearray(STREAM)
        damaged[ENDS[k] + byte] ^= 0x40
        assert read(damaged).numbers == [j for j in range(N) if j != k], k


def test_clock_reset_is_no_damage(read):
    made = [event(3 * k, timestamp=10**12 + k) for k in range(4)] + [event(3 * k, timestamp=k) for k in range(4, 9)]
    file = read(lw.llama_file(CHANNELS, made))
    assert len(file.numbers) == 9
    assert file.summary.is_clean


def test_rare_events_are_no_damage(read):
    made = [event(k, timestamp=k * 10**12) for k in range(30)]
    assert read(lw.llama_file(CHANNELS, made)).summary.is_clean


def test_stray_bytes_at_the_end(read):
    file = read(STREAM + b"abc")
    assert file.numbers == list(range(N))
    assert file.summary.truncated_tail == 3


def test_hole_of_zeros(read):
    file = read(STREAM[: ENDS[5]] + bytes(4000) + STREAM[ENDS[8] :])
    assert set(file.numbers) >= {*range(4), *range(8, N)}
    assert file.summary.n_gaps == 1


def test_damaged_chunk_headers(read):
    """The rest of a chunk is kept if it must be of its FADC; without its header a chunk is lost."""
    stream, ends = b"".join(V1_PARTS), np.cumsum([len(part) for part in V1_PARTS]).tolist()
    for chunk in range(4):
        inside = {n for j, made in enumerate(CHUNKS) if j != chunk for n in (e.timestamp for e in made)}
        kept = {event(n).timestamp for n in V1_NUMBERS} & inside
        for at, value in ((0, 0x01), (1, 0xFF), (4, 0x00), (4, 0x01), (4, 0x07), (6, 0xFF)):
            damaged = bytearray(stream)
            damaged[ends[chunk] + at] = value
            file = read(damaged)
            assert {event(n).timestamp for n in file.numbers} >= kept, (chunk, at, value)
            for number in file.numbers:
                assert number in V1_NUMBERS


def test_damaged_events_in_chunks(read):
    stream, ends = b"".join(V1_PARTS), np.cumsum([len(part) for part in V1_PARTS]).tolist()
    for chunk, made in enumerate(CHUNKS):
        damaged = bytearray(stream)
        damaged[ends[chunk] + 8] ^= 0x04  # format bits of its first event
        file = read(damaged)
        first = (made[0].timestamp - 1_000_000) // 70_000
        assert file.numbers == [n for n in V1_NUMBERS if n != first]
        assert file.summary.n_gaps == 1


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("seed", range(100))
def test_random_damage(read, version, seed):
    """Cuts, insertions and overwritten bytes behind the header: never a crash, and what is in front is there."""
    rng = np.random.default_rng([seed, version])
    parts = PARTS if version == 2 else V1_PARTS
    damaged, start = bytearray(b"".join(parts)), len(parts[0])
    first = len(damaged)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(start, len(damaged)))
        first = min(first, at)
        damaged[at : at + int(rng.integers(0, 40))] = rng.bytes(int(rng.integers(0, 40)))
    file = read(damaged)
    assert file.summary.bytes_skipped + file.summary.truncated_tail <= len(damaged) - start
    if version == 2:
        intact = sum(end <= first for end in ENDS) - 1
        times = {row["time_since_run_start"] for row in file.rows}
        expected = [event(k).timestamp / CHANNELS[k % 3].sample_freq * 1e-6 for k in range(max(intact - 1, 0))]
        assert all(min(abs(t - e) for t in times) < 1e-12 for e in expected)


@pytest.mark.parametrize("seed", range(100))
def test_random_damage_of_the_header(read, seed):
    rng = np.random.default_rng(seed)
    damaged = bytearray(STREAM)
    for _ in range(int(rng.integers(1, 6))):
        damaged[int(rng.integers(4, ENDS[0]))] = int(rng.integers(0, 256))
    try:
        file = read(damaged)
    except DecodeError:
        return
    assert file.summary.bytes_skipped <= len(damaged)


def test_real_file_with_lost_bytes(testdata, read):
    content = (testdata / "llamaDAQ/20241218-150158-pulser.bin").read_bytes()
    file = read(content[:500_000] + content[500_777:])
    assert sum(table.n_rows for table in file.tables.values()) == 73
    assert file.summary.n_gaps == 1
    assert file.summary.records_lost == 1
