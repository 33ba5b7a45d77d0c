"""Selections, reading ahead, the order of shared tables, progress, memory."""

import io
import subprocess
import sys
import threading

import numpy as np
import pytest
from daq_streams import fcio_messages, orca_fc_packets

from pygama_core.daq.ahead import read_ahead
from pygama_core.daq.daqfile import Block, open_daq
from pygama_core.daq.progress import progress_bar
from pygama_core.daq.row_order import RowOrder
from pygama_core.daq.selection import Selection
from pygama_core.errors import ConfigError
from pygama_core.lh5.types import Array, Table, concatenate

CONTENTS = {"fcio": fcio_messages(40), "orca": orca_fc_packets(40)}


@pytest.fixture(params=CONTENTS)
def content(request):
    return CONTENTS[request.param]


def test_channels_can_be_selected(decode, content):
    decoded = decode(content, selection=Selection.of([1104001, 1104002]))
    assert sorted(decoded.channels) == [1104001, 1104002]
    assert "1104000" not in decoded.summary.rows
    assert len(decoded.objects) > 0


@pytest.mark.parametrize("max_bytes", [1, 1000, 1 << 20])
@pytest.mark.parametrize("text", ["5:17", ":9", "30:", "0:1", "1000:2000"])
def test_records_can_be_selected(decode, content, text, max_bytes):
    whole = decode(content)
    part = decode(content, selection=Selection.of(packets=text), max_bytes=max_bytes)
    first, _, last = text.partition(":")
    for key, table in whole.channels.items():
        ids = table.array("packet_id")
        expected = ids[(ids >= int(first or 0)) & (ids < int(last or 10**9))]
        found = part.channels[key].array("packet_id") if key in part.channels else np.empty(0)
        np.testing.assert_array_equal(found, expected)
    if text == ":9" and max_bytes == 1:
        assert sum(part.summary.records.values()) < sum(whole.summary.records.values())  # reading stopped
        assert "stopped behind record 9" in part.summary.notes[-1]


@pytest.mark.parametrize("text", ["5", "a:b", "1:2:3", "-1:4"])
def test_malformed_ranges(text):
    with pytest.raises(ConfigError, match="expected FIRST:LAST"):
        Selection.of(packets=text)


def test_empty_range():
    with pytest.raises(ConfigError, match="9:9 is empty"):
        Selection.of(packets="9:9")


def test_reading_ahead_gives_the_same_blocks_in_another_thread():
    threads = set()

    def numbers():
        for k in range(50):
            threads.add(threading.current_thread().name)
            yield Block("X", k, Table({"x": Array(np.arange(k))}))

    assert [block.key for block in read_ahead(numbers(), 1000)] == list(range(50))
    assert threads == {"decode_0"}
    assert list(read_ahead(iter([]))) == []


def test_errors_of_the_decoder_come_through():
    def broken():
        yield Block("X", 1, Table({"x": Array(np.zeros(1))}))
        raise ConfigError("broken on purpose")

    blocks = read_ahead(broken(), 1)
    assert next(blocks).key == 1
    with pytest.raises(ConfigError, match="broken on purpose"):
        next(blocks)


def test_leaving_early_ends_the_decoder():
    n_made = []

    def endless():
        while True:
            n_made.append(1)
            yield Block("X", 1, Table({"x": Array(np.zeros(1))}))

    blocks = read_ahead(endless(), 1)
    next(blocks)
    blocks.close()
    assert len(n_made) < 10


def piece(key, ids):
    return Block("X", key, Table({"packet_id": Array(np.array(ids)), "channel": Array(np.full(len(ids), key))}))


def test_rows_of_shared_tables_come_in_the_order_of_the_file():
    order = RowOrder()
    pieces = [piece(2, [1, 3]), piece(1, [1, 4]), piece(2, [5]), piece(3, [6, 6]), piece(1, []), piece(3, [7])]
    tables = [table for block in pieces for _, table in order.add("here", block)]
    tables += [table for _, table in order.rest()]
    joined = concatenate(tables)
    assert joined.array("packet_id").tolist() == [1, 1, 3, 4, 5, 6, 6, 7]
    assert joined.array("channel").tolist() == [1, 2, 2, 1, 2, 3, 3, 3]


def test_no_bar_without_a_terminal():
    with progress_bar("reading", 10, io.StringIO()) as update:
        assert update is None


def test_bar_on_a_terminal():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stream = Terminal()
    with progress_bar("reading", 1000, stream) as update:
        update(500)
        update(5000)
    assert "reading" in stream.getvalue()


MEMORY = """
import sys
from pathlib import Path
from pygama_core.daq.daqfile import open_daq

def most():  # getrusage would tell the largest of this process and of the one that started it
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) // 1024

daq = open_daq(sys.argv[1])
start = most()
rows = sum(getattr(block.table, "n_rows", 0) for block in daq.blocks(max_bytes=8 << 20))
print(rows, most() - start)
"""


def test_memory_does_not_grow_with_the_file(tmp_path, repository):
    """A file of 800 MB, mapped and decoded, takes less than 400 MB."""
    messages = fcio_messages(1)
    from daq_streams import fcio_config, fw, traces

    config = fcio_config(n_samples=20_000)
    event = fcio_messages(1, config)[2]
    path = tmp_path / "large.fcio"
    n_events = 800_000_000 // len(event)
    with path.open("wb") as file:
        file.write(messages[0] + fw.config(config))
        for _ in range(n_events // 100):
            file.write(event * 100)
    del traces
    result = subprocess.run(
        [sys.executable, "-c", MEMORY, str(path)], capture_output=True, text=True, check=True, cwd=repository
    )
    rows, megabytes = map(int, result.stdout.split())
    path.unlink()
    assert rows == 3 * (n_events // 100 * 100)
    assert 8 < megabytes < 400


def test_release_keeps_the_content(tmp_path):
    path = tmp_path / "x.fcio"
    path.write_bytes(b"".join(fcio_messages(3)))
    daq = open_daq(path)
    before = daq.source.data.tobytes()
    daq.source.release()
    assert daq.source.data.tobytes() == before
