"""What all formats have in common: recognition, compression, and the way into a raw file."""

import gzip

import numpy as np
import pytest
from compass_streams import FORMATS, records
from llama_streams import CHANNELS, events, v1_file
from vme_streams import packets

from pygama_core import lh5
from pygama_core.daq.daqfile import known_formats, open_daq
from pygama_core.errors import DecodeError
from pygama_core.sim import llama_writer as lw
from pygama_core.tiers.daq_to_raw import daq_to_raw

CONTENT = {
    **{f"compass-{name}": b"".join(records(12, FORMATS[name])) for name in ("0xCAED", "0xCAE5", "v1-psd")},
    "llama-2": lw.llama_file(CHANNELS, events(12)),
    "llama-1": v1_file([events(1)]),
    "orca-vme": b"".join(packets(12)),
}
REAL = {"compass": "compass/compass_test_data.BIN", "llama": "llamaDAQ/20241218-150158-pulser.bin"}


@pytest.mark.parametrize("name", CONTENT)
def test_each_other_format_recognises_only_its_own(name):
    head = CONTENT[name][:4096]
    assert [known.name for known in known_formats().values() if known.sniff(head)] == [name.split("-")[0]]


@pytest.mark.parametrize("name", REAL)
def test_real_files_are_recognised(testdata, name):
    head = (testdata / REAL[name]).read_bytes()[:4096]
    assert [known.name for known in known_formats().values() if known.sniff(head)] == [name]


def test_other_files_are_not_these(testdata):
    for path in ("fcio/th228.fcio", "orca/fc/L200-comm-20220519-phy-geds.orca", "legend/dataflow-config.yaml"):
        head = (testdata / path).read_bytes()[:4096]
        found = [known.name for known in known_formats().values() if known.sniff(head)]
        assert not {"compass", "llama"} & set(found)


@pytest.mark.parametrize("content", [b"x", b"\0" * 11, b"\0" * 500, b"\xff" * 500])
@pytest.mark.parametrize("name", ["compass", "llama"])
def test_wrong_content_with_a_given_format_is_an_error(tmp_path, name, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(DecodeError):
        list(open_daq(tmp_path / "x", format=name).blocks())


@pytest.mark.parametrize("name", CONTENT)
def test_raw_file_holds_every_row(tmp_path, name):
    daq = tmp_path / "daq.gz"
    daq.write_bytes(gzip.compress(CONTENT[name]))
    raw = tmp_path / "raw.lh5"
    summary = daq_to_raw(daq, raw)
    expected = {key: n for key, n in summary.rows.items() if key.isdecimal()}
    found = {int(table[2:9]): lh5.read(raw, table).n_rows for table in lh5.ls(raw, "ch*/raw")}
    assert found == {int(key): n for key, n in expected.items()}
    assert sum(found.values()) >= (12 if name != "llama-1" else 1)
    assert summary.is_lossless


@pytest.mark.parametrize("name", CONTENT)
def test_raw_file_is_the_same_each_time(tmp_path, name):
    (tmp_path / "daq").write_bytes(CONTENT[name])
    for raw in ("a.lh5", "b.lh5"):
        daq_to_raw(tmp_path / "daq", tmp_path / raw)
    assert (tmp_path / "a.lh5").read_bytes() == (tmp_path / "b.lh5").read_bytes()


@pytest.mark.parametrize("seed", range(80))
@pytest.mark.parametrize("name", CONTENT)
def test_flipped_bits_anywhere(tmp_path, name, seed):
    """Headers included: an error of this package, or an account of what was read."""
    rng = np.random.default_rng(seed)
    damaged = bytearray(CONTENT[name])
    # VME files: most of the first bytes are the property list
    damaged[int(rng.integers(0, len(damaged)))] ^= 1 << int(rng.integers(0, 8))
    (tmp_path / "daq").write_bytes(damaged)
    try:
        daq = open_daq(tmp_path / "daq")
        n_rows = sum(block.table.n_rows for block in daq.blocks() if isinstance(block.key, int))
    except DecodeError:
        return
    assert n_rows >= 0
    assert daq.summary.bytes_skipped + daq.summary.truncated_tail <= len(damaged)
