"""Damaged CoMPASS files: what is intact is kept exactly, what is lost is counted, no record is invented."""

import numpy as np
import pytest
from compass_streams import FORMATS, FULL, Compass, event, records, written_rows

from pygama_core.errors import DecodeError
from pygama_core.sim import compass_writer as cw

N = 14
LAYOUTS = ["0xCAED", "0xCAE9", "0xCAEE", "0xCAE5", "v1-psd"]


@pytest.fixture
def read(tmp_path):
    def read_bytes(content, **options):
        (tmp_path / "run.BIN").write_bytes(bytes(content))
        return Compass(tmp_path / "run.BIN", **options)

    return read_bytes


def parts_of(name):
    parts = records(N, FORMATS[name])
    return b"".join(parts), np.cumsum([len(part) for part in parts])


def numbers(file):
    """Which of the written events were read; every row must be exactly one of them."""
    n = {len(row[4]) for row in file.rows}
    assert len(n) <= 1
    written = {row[:2]: k for k, row in enumerate(written_rows([event(k) for k in range(N)]))}
    expected = written_rows([event(k, max(n, default=0)) for k in range(N)])
    found = []
    for _, key, time, _, samples in file.rows:
        found.append(written[key, time])
        assert samples == expected[found[-1]][3]
    return found


@pytest.mark.parametrize("name", LAYOUTS)
def test_cut_at_every_byte(read, name):
    stream, ends = parts_of(name)
    for cut in range(int(ends[4]), int(ends[7])):
        file = read(stream[:cut], layout=name)
        complete = int((ends <= cut).sum()) - 1
        assert numbers(file) == list(range(complete)), cut
        assert file.summary.truncated_tail == cut - ends[complete]
        assert file.summary.n_gaps == 0


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("n", [1, 2, 7, 64, 1000])
def test_inserted_bytes_cost_the_record_they_hit(read, name, n):
    """Without marks a record in front of inserted bytes cannot be told from one they were inserted into."""
    stream, ends = parts_of(name)
    for k in range(1, N - 5):
        at = int(ends[k]) + 7
        file = read(stream[:at] + np.random.default_rng(k).bytes(n) + stream[at:], layout=name)
        assert set(numbers(file)) >= set(range(N)) - {k - 1, k}, k
        assert file.summary.n_gaps >= 1


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("n", [1, 2, 9])
def test_lost_bytes_cost_the_record_they_hit(read, name, n):
    stream, ends = parts_of(name)
    for k in range(1, N - 5):
        at = int(ends[k]) + 9
        file = read(stream[:at] + stream[at + n :], layout=name)
        assert set(numbers(file)) >= set(range(N)) - {k - 1, k}, k
        assert file.summary.n_gaps >= 1


@pytest.mark.parametrize("what", ["board", "channel", "n_samples", "code", "flags"])
def test_impossible_field_costs_one_record(read, what):
    stream, ends = parts_of("0xCAED")
    where = {"board": 1, "channel": 3, "flags": 19, "code": 20, "n_samples": 24}[what]
    for k in range(N):
        damaged = bytearray(stream)
        damaged[int(ends[k]) + where] = 0xFF
        file = read(damaged)
        assert numbers(file) == [j for j in range(N) if j != k], k
        if k < N - 1:
            assert file.summary.skipped == ((ends[k], ends[k + 1]),)
        assert file.summary.records_lost + (file.summary.truncated_tail > 0) == 1


@pytest.mark.parametrize("byte", [5, 6, 7])
def test_damaged_time_costs_one_record(read, byte):
    stream, ends = parts_of("0xCAED")
    for k in range(N):
        damaged = bytearray(stream)
        damaged[int(ends[k]) + 4 + byte] ^= 0x20
        file = read(damaged)
        if k < N - 3:  # nothing contradicts a later time of the last record of a channel
            assert numbers(file) == [j for j in range(N) if j != k], k


def test_clock_reset_is_no_damage(read):
    events = [event(k, timestamp=10**14 + k, channel=0) for k in range(5)]
    events += [event(k, timestamp=10**12 + k, channel=0) for k in range(5, 10)]
    assert len(read(cw.compass_file(FULL, events)).rows) == 10


def test_flagged_reset_is_no_damage(read):
    events = [event(k, timestamp=10**14 + k, channel=0) for k in range(6)]
    events[3] = event(3, timestamp=10, channel=0, flags=int(cw.Flag.RESET))
    assert len(read(cw.compass_file(FULL, events)).rows) == 6


def test_rare_events_are_no_damage(read):
    """Hours between the records of a channel, and channels that are not in step."""
    events = [event(k, timestamp=(1 + k // 2) * 10**16 + (k % 2) * 9 * 10**15, channel=k % 2) for k in range(20)]
    file = read(cw.compass_file(FULL, events))
    assert len(file.rows) == 20
    assert file.summary.n_gaps == 0


def test_concatenated_files(read):
    """The header word between them is two bytes of damage, which may cost the record in front of it."""
    file = read(b"".join(records(N)) * 2)
    assert len(file.rows) >= 2 * N - 1
    assert file.summary.n_gaps == 1


def test_zeros_are_no_records(read):
    """A hole in the file: every field of a record of zeros would be possible."""
    stream, ends = parts_of("0xCAED")
    file = read(stream[: ends[5]] + bytes(5000) + stream[ends[9] :])
    assert set(numbers(file)) >= {*range(4), *range(9, N)}
    assert file.summary.bytes_skipped >= 5000


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("seed", range(50))
def test_random_damage(read, name, seed):
    """Cuts, insertions and overwritten bytes: never a crash, and the undamaged part is there."""
    rng = np.random.default_rng([seed, LAYOUTS.index(name)])
    stream, ends = parts_of(name)
    damaged = bytearray(stream)
    first = len(damaged)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(0, len(damaged)))
        first = min(first, at)
        damaged[at : at + int(rng.integers(0, 40))] = rng.bytes(int(rng.integers(0, 40)))
    file = read(damaged, layout=name)
    summary = file.summary
    accounted = summary.bytes_skipped + summary.truncated_tail
    assert accounted <= len(damaged)
    intact = int((ends <= first).sum()) - 1
    times = {row[2] for row in file.rows}
    assert {event(k).timestamp for k in range(max(intact - 1, 0))} <= times


@pytest.mark.parametrize("seed", range(100))
def test_random_bytes_behind_a_header_word(read, seed):
    rng = np.random.default_rng(seed)
    content = bytes([0xE0 | int(rng.integers(0, 16)), 0xCA]) + rng.bytes(int(rng.integers(0, 4000)))
    summary = read(content).summary
    assert summary.bytes_skipped + summary.truncated_tail + 60 * summary.records.get("Event", 0) >= len(content) - 2


@pytest.mark.parametrize("seed", range(50))
def test_random_bytes(read, seed):
    content = np.random.default_rng(seed).bytes(500)
    with pytest.raises(DecodeError):
        read(content)


def test_real_file_with_lost_bytes(testdata, read):
    content = (testdata / "compass/compass_test_data.BIN").read_bytes()
    file = read(content[:100_000] + content[100_777:])
    assert len(file.rows) == 101
    assert file.summary.n_gaps == 1
