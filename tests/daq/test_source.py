import bz2
import gzip

import numpy as np
import pytest
import zstandard
from daq_streams import fcio_messages

from pygama_core.daq.daqfile import open_daq
from pygama_core.daq.source import open_source, word_swapped
from pygama_core.errors import DecodeError

CONTENT = np.random.default_rng(3).integers(0, 256, 300_000, dtype=np.uint8).tobytes()
COMPRESS = {"gz": gzip.compress, "bz2": bz2.compress, "zst": lambda data: zstandard.ZstdCompressor().compress(data)}


@pytest.mark.parametrize("kind", COMPRESS)
def test_compressed_files_are_found_by_content(tmp_path, kind):
    path = tmp_path / "no_suffix"
    path.write_bytes(COMPRESS[kind](CONTENT))
    source = open_source(path)
    assert source.data.tobytes() == CONTENT
    assert source.notes == ()


@pytest.mark.parametrize("kind", COMPRESS)
def test_several_compressed_members_follow_each_other(tmp_path, kind):
    path = tmp_path / "file"
    path.write_bytes(COMPRESS[kind](CONTENT[:1000]) + COMPRESS[kind](CONTENT[1000:]))
    assert open_source(path).data.tobytes() == CONTENT


@pytest.mark.parametrize("kind", COMPRESS)
def test_truncated_compressed_file_keeps_what_there_is(tmp_path, kind):
    path = tmp_path / "file"
    packed = COMPRESS[kind](CONTENT * 5)
    path.write_bytes(packed[: len(packed) * 2 // 3])
    source = open_source(path)
    assert 0 < len(source.data) < len(CONTENT) * 5
    assert source.data.tobytes() == (CONTENT * 5)[: len(source.data)]
    assert "ends inside a compressed block" in source.notes[0]


@pytest.mark.parametrize("kind", ["gz", "bz2", "zst"])
def test_garbage_behind_a_compressed_start_is_an_error(tmp_path, kind):
    path = tmp_path / "file"
    path.write_bytes(COMPRESS[kind](CONTENT)[:4] + b"\xff" * 100)
    with pytest.raises(DecodeError, match="nothing can be decompressed"):
        open_source(path)


def test_empty_file_is_an_error(tmp_path):
    (tmp_path / "empty").touch()
    with pytest.raises(DecodeError, match="the file is empty"):
        open_source(tmp_path / "empty")


def test_missing_file_is_an_error(tmp_path):
    with pytest.raises(DecodeError, match="cannot read the file"):
        open_source(tmp_path / "missing")


def test_word_swap_reverses_every_word(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes([1, 2, 3, 4, 5, 6, 7, 8, 9]))
    assert word_swapped(open_source(path)).data.tolist() == [4, 3, 2, 1, 8, 7, 6, 5]


def test_compressed_daq_file_decodes(decode):
    plain = b"".join(fcio_messages())
    compressed = decode(gzip.compress(plain))
    assert compressed.event_numbers == decode(plain).event_numbers == list(range(10))


def test_damaged_compression_is_told_in_the_summary(tmp_path):
    path = tmp_path / "file.fcio.gz"
    packed = gzip.compress(b"".join(fcio_messages(200)), compresslevel=0)
    path.write_bytes(packed[: len(packed) // 2])
    daq = open_daq(path)
    assert sum(block.decoder == "FCEvent" for block in daq.blocks()) == 3
    assert "compressed stream damaged" in daq.summary.notes[0]
    assert not daq.summary.is_clean
