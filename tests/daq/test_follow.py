"""Files that grow while they are read: the result is that of the finished file."""

import gzip
import threading
import time

import numpy as np
import pytest
from daq_streams import (
    event_times,
    fcio_config,
    fcio_messages,
    fcio_record,
    fw,
    orca_fc_packets,
    orca_fcio_packets,
    run_end,
    run_start,
)

from pygama_core.daq.daqfile import open_daq
from pygama_core.daq.follow import Follow, follow_daq
from pygama_core.errors import ConfigError, DecodeError
from pygama_core.lh5.types import Table, concatenate

SOON = Follow(idle=0.4, poll=0.005)
CONTENTS = {
    "fcio": b"".join(fcio_messages(12)),
    "fcio cut": b"".join(fcio_messages(12))[:-7],
    "headers": b"".join(
        [
            *fcio_messages(0),
            *(fw.event_header(event_times(k), [0, 2], np.arange(4), with_count=k % 2 == 1) for k in range(8)),
        ]
    ),
    "two configurations": b"".join(fcio_messages(3) + fcio_messages(3, fcio_config(n_traces=2))),
    "orca": b"".join(orca_fc_packets(12)),
    "orca fcio": b"".join(orca_fcio_packets(12)),
    "orca cut": b"".join(orca_fcio_packets(12))[:-40],
}


def grow(path, content, cuts, pause=0.01):
    def write():
        with path.open("ab") as file:
            for start, stop in zip([0, *cuts], [*cuts, len(content)], strict=True):
                time.sleep(pause)
                file.write(content[start:stop])
                file.flush()

    thread = threading.Thread(target=write)
    thread.start()
    return thread


def decoded(daq):
    tables = {}
    for block in daq.blocks():
        if isinstance(block.table, Table):
            tables.setdefault(block.key, []).append(block.table)
    return {key: concatenate(parts) for key, parts in tables.items()}, daq.summary


def assert_same(found, expected):
    (ours, summary), (whole, expected_summary) = found, expected
    assert summary == expected_summary
    assert set(ours) == set(whole)
    for key, table in whole.items():
        for name, column in table.columns.items():
            mine = ours[key][name]
            if hasattr(column, "values") and isinstance(column.values, np.ndarray):
                np.testing.assert_array_equal(mine.values, column.values, err_msg=f"{key} {name}")
            elif isinstance(column, Table):
                np.testing.assert_array_equal(mine.array("values"), column.array("values"))


class Script(Follow):
    """A writer that adds the next piece whenever the reader waits."""

    def __init__(self, pieces):
        super().__init__()
        object.__setattr__(self, "pieces", list(pieces))

    def wait(self, path, n_known):
        if not self.pieces:
            return None
        with path.open("ab") as file:
            file.write(self.pieces.pop(0))
        return path.stat().st_size


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("kind", CONTENTS)
def test_a_growing_file_gives_what_the_finished_one_gives(tmp_path, kind, seed):
    content = CONTENTS[kind]
    path = tmp_path / "growing.daq"
    cuts = sorted(np.random.default_rng(seed).choice(np.arange(80, len(content)), 30, replace=False).tolist())
    pieces = [content[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    if "orca" in kind and "cut" not in kind:
        pieces[-2:] = [pieces[-2] + pieces[-1]]  # bytes that come after the record of the end are not waited for
    found = decoded(follow_daq(path, Script(pieces)))
    assert_same(found, decoded(open_daq(path)))


def test_a_file_that_grows_while_it_is_read(tmp_path):
    content, path = CONTENTS["fcio"], tmp_path / "growing.fcio"
    writer = grow(path, content, [100, 1000, 1500, 3000])
    found = decoded(follow_daq(path, Follow(idle=1.5, poll=0.005)))
    writer.join()
    assert_same(found, decoded(open_daq(path)))


def test_reading_ends_with_the_run(tmp_path):
    path = tmp_path / "growing.orca"
    path.write_bytes(b"".join(orca_fc_packets(5)))
    start = time.monotonic()
    _, summary = decoded(follow_daq(path, Follow(idle=3, poll=0.01)))
    assert time.monotonic() - start < 5.5  # one wait for the head of the file, none for more of the run
    assert summary.is_clean


def test_another_run_in_the_file_is_read_as_well(tmp_path):
    path = tmp_path / "growing.orca"
    path.write_bytes(b"".join([*orca_fc_packets(5), run_start(8)]))
    writer = grow(path, run_end(8), [], pause=0.6)
    tables, _ = decoded(follow_daq(path, Follow(idle=1, poll=0.01)))
    writer.join()
    assert tables["RunControl"].array("run_number").tolist() == [7, 7, 8, 8]


def test_a_file_that_does_not_appear(tmp_path):
    with pytest.raises(DecodeError, match="cannot read the file"):
        follow_daq(tmp_path / "none.fcio", Follow(idle=0.05, poll=0.01))


def test_a_compressed_file_cannot_be_followed(tmp_path):
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(CONTENTS["fcio"]))
    with pytest.raises(DecodeError, match="a compressed file cannot be followed"):
        follow_daq(path, Follow(idle=0.05, poll=0.01))


def test_a_big_endian_file_cannot_be_followed(tmp_path):
    path = tmp_path / "x.orca"
    path.write_bytes(np.frombuffer(CONTENTS["orca"], "<u4").byteswap().tobytes())
    with pytest.raises(DecodeError, match="a big-endian ORCA file cannot be followed"):
        follow_daq(path, Follow(idle=0.05, poll=0.01))


@pytest.mark.parametrize(("content", "message"), [(fcio_messages(1)[0] + b"\x01", "no Config record")])
def test_a_file_that_stays_without_configuration(tmp_path, content, message):
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(DecodeError, match=message):
        list(follow_daq(path, Follow(idle=0.05, poll=0.01)).blocks())


def test_an_orca_file_that_stays_without_header(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(CONTENTS["orca"][:200])
    with pytest.raises(DecodeError, match="no complete ORCA header packet"):
        list(follow_daq(path, Follow(idle=0.05, poll=0.01)).blocks())


def test_formats_that_are_not_followed_are_waited_for(tmp_path, testdata):
    content = (testdata / "compass/compass_test_data.BIN").read_bytes()
    path = tmp_path / "growing.BIN"
    writer = grow(path, content, [50_000, 100_000])
    found = decoded(follow_daq(path, Follow(idle=0.3, poll=0.01)))
    writer.join()
    assert_same(found, decoded(open_daq(path)))


@pytest.mark.parametrize("bad", [{"idle": 0}, {"poll": -1}])
def test_waiting_times_must_be_positive(bad):
    with pytest.raises(ConfigError, match="both must be positive"):
        Follow(**bad)


def test_number_of_events(tmp_path):
    for kind in ("fcio", "orca"):
        path = tmp_path / kind
        path.write_bytes(CONTENTS[kind])
        daq = follow_daq(path, SOON)
        list(daq.blocks(max_events=4))
        assert "stopped after 4" in daq.summary.notes[0]


def test_damage_at_the_end_is_told_when_nothing_follows(tmp_path):
    path = tmp_path / "x.fcio"
    path.write_bytes(CONTENTS["fcio"] + fcio_record(3, b"abcd") + b"\x33" * 50)
    _, summary = decoded(follow_daq(path, SOON))
    assert summary.records["Event"] == 12
    assert summary.bytes_skipped + summary.truncated_tail >= 50
