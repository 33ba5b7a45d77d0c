"""Files repacked in other chunks or another codec: smaller or faster to read, with the same content and digest."""

import h5py
import numpy as np
import pytest
from same_objects import assert_same

from pygama_core import lh5
from pygama_core.errors import LH5Error
from pygama_core.lh5 import integrity, rewrite

BAD_CHUNKS = {"one huge": (9000, 400), "many tiny": (1, 400), "cut rows": (100, 50), "none": None}


def samples(n_rows=100, n_samples=400):
    steps = np.random.default_rng(0).integers(-3, 4, (n_rows, n_samples))
    return (20000 + steps.cumsum(axis=1)).astype(np.uint16)


def foreign_file(path, chunks):
    with h5py.File(path, "w") as file:
        table = file.create_group("ch1/raw/waveform")
        table.attrs["datatype"] = "table{dt,t0,values}"
        values = samples(300)
        options = {"maxshape": (None, None), "compression": "gzip"} if chunks else {}
        table.create_dataset("values", data=values, chunks=chunks, **options)
        table["values"].attrs["datatype"] = "array_of_equalsized_arrays<1,1>{real}"
        table["values"].attrs["units"] = "ADC"
        for name in ("t0", "dt"):
            table[name] = np.zeros(300)
            table[name].attrs["datatype"] = "array<1>{real}"
        file["hit/V01"] = file["ch1/raw"]
        file["soft"] = h5py.SoftLink("/ch1/raw/waveform/dt")
    return path


def our_file(path, codec):
    with lh5.Writer(path, codec=codec) as out:
        for first in (0, 60):
            values = lh5.Array(samples()[first : first + 60], {"units": "ADC", "description": "trace"})
            times = {name: lh5.Array(np.zeros(len(values)), {"units": "ns"}) for name in ("t0", "dt")}
            out.append("ch1/raw", lh5.Table({"waveform": lh5.Table({**times, "values": values})}))
        out.write("info", lh5.Struct({"version": lh5.Scalar("1.0"), "n": lh5.Scalar(3)}))
    return path


@pytest.mark.parametrize("chunks", BAD_CHUNKS.values(), ids=BAD_CHUNKS.keys())
def test_badly_chunked_files_get_chunks_of_whole_rows(tmp_path, chunks):
    path = foreign_file(tmp_path / "bad.lh5", chunks)
    before, content = lh5.read(path, "ch1/raw"), integrity.digest(path)
    rewrite.repack(path, rechunk=True)
    with h5py.File(path) as file:
        values = file["ch1/raw/waveform/values"]
        assert values.chunks == (131072 // 800, 400)
        assert values.maxshape[0] is None
        assert file["hit/V01"] == file["ch1/raw"]
        assert file.get("soft", getlink=True).path == "/ch1/raw/waveform/dt"
    assert_same(lh5.read(path, "ch1/raw"), before)
    assert integrity.digest(path) == content


def test_good_chunks_are_carried_over(tmp_path):
    path, copy = our_file(tmp_path / "a.lh5", None), tmp_path / "b.lh5"
    rewrite.repack(path, copy, rechunk=True)
    with h5py.File(path) as old, h5py.File(copy) as new:
        name = "ch1/raw/waveform/values"
        assert old[name].id.read_direct_chunk((0, 0)) == new[name].id.read_direct_chunk((0, 0))


@pytest.mark.parametrize(
    ("before", "codec"),
    [
        (None, "radware_sigcompress"),
        (None, "auto"),
        ("uleb128_zigzag_diff", "radware_sigcompress"),
        ("radware_sigcompress", "uleb128_zigzag_diff"),
        ("radware_sigcompress", "none"),
    ],
)
def test_waveforms_change_their_codec_and_keep_their_digest(tmp_path, before, codec):
    path = our_file(tmp_path / "raw.lh5", before)
    rewrite.add_digests(path)
    table, content = lh5.read(path, "ch1/raw"), integrity.digest(path)
    rewrite.repack(path, codec=codec, checksums=True)
    with h5py.File(path) as file:
        found = file["ch1/raw/waveform/values"].attrs.get("codec", "none")
        assert found == codec or (codec == "auto" and found != "none")
    assert_same(lh5.read(path, "ch1/raw"), table)
    assert integrity.digest(path) == content
    assert not integrity.verify(path).faults
    assert lh5.read(path, "info")["n"].value == 3


def test_ragged_waveforms_change_their_codec(tmp_path):
    path = tmp_path / "raw.lh5"
    lengths = np.array([100, 0, 250, 50])
    values = lh5.VectorOfVectors(samples()[0, :400].astype("u2"), lengths.cumsum(), {"units": "ADC"})
    times = {name: lh5.Array(np.zeros(4), {"units": "ns"}) for name in ("t0", "dt")}
    with lh5.Writer(path) as out:
        out.append("ch1/raw/waveform", lh5.Table({**times, "values": values}))
    before = lh5.read(path, "ch1/raw/waveform")
    for codec in ("uleb128_zigzag_diff", "radware_sigcompress", "none"):
        rewrite.repack(path, codec=codec)
        assert_same(lh5.read(path, "ch1/raw/waveform"), before)


def test_samples_that_a_codec_cannot_hold_leave_the_file(tmp_path):
    path = tmp_path / "raw.lh5"
    values = lh5.Array(np.array([[0, 1 << 20]] * 3, "i4"))
    times = {name: lh5.Array(np.zeros(3)) for name in ("t0", "dt")}
    with lh5.Writer(path) as out:
        out.append("wf", lh5.Table({**times, "values": values}))
    content = path.read_bytes()
    with pytest.raises(LH5Error, match="do not fit into 16 bits"):
        rewrite.repack(path, codec="radware_sigcompress")
    with pytest.raises(LH5Error, match="codec 'zip' is not known"):
        rewrite.repack(path, codec="zip")
    assert path.read_bytes() == content
    assert [p.name for p in tmp_path.iterdir()] == ["raw.lh5"]


def test_a_production_file_can_be_rechunked_and_recoded(testdata, tmp_path):
    """A raw file of LEGEND-200 with both codecs, by the reference."""
    (path,) = (testdata / "lh5").rglob("l200-p14-*-tier_raw.lh5")
    copy = tmp_path / path.name
    rewrite.repack(path, copy, rechunk=True, codec="auto")
    assert integrity.digest(copy) == integrity.digest(path)
    assert copy.stat().st_size < path.stat().st_size
