"""What is in a file: names, sizes, statistics."""

import h5py
import numpy as np
import pytest
from test_modify import example

from pygama_core import lh5
from pygama_core.errors import LH5Error
from pygama_core.lh5.inspect import describe, entries, kind_of


def test_entries_name_types_sizes_and_links(tmp_path):
    path = tmp_path / "a.lh5"
    with lh5.Writer(path) as out:
        out.append("ch1/hit", example(1000))
        out.write("n", lh5.Scalar(1))
    with h5py.File(path, "r+") as file:
        file["soft"] = h5py.SoftLink("/ch1/hit")
        file["other"] = h5py.ExternalLink("b.lh5", "/x")
    found = {entry.name: entry for entry in entries(path)}
    assert list(found)[:3] == ["ch1", "ch1/hit", "ch1/hit/energy"]
    values = found["ch1/hit/waveform/values"]
    assert (values.kind, values.dtype, values.shape, values.units) == ("array", "uint16", (1000, 30), "ADC")
    assert (values.filters, values.plain_bytes) == ("shuffle+gzip", 60000)
    assert 0.9 < values.ratio < 1.2  # white noise
    assert found["ch1/hit"].shape == (1000,)
    assert found["ch1/hit"].plain_bytes == sum(e.plain_bytes for n, e in found.items() if n.count("/") == 2)
    assert (found["ch1/hit/pulses"].kind, found["ch1/hit/pulses"].dtype) == ("ragged", "int64")
    assert (found["n"].kind, found["n"].shape) == ("scalar", ())
    assert (found["soft"].target, found["other"].target) == ("/ch1/hit", "b.lh5:/x")


def test_kinds_without_datatype(tmp_path):
    with h5py.File(tmp_path / "a.lh5", "w") as file:
        file["r/cumulative_length"] = [1]
        file["r/flattened_data"] = [1]
        file["e/encoded_data/x"] = [1]
        file["e/decoded_size"] = 1
        file["x"] = [1]
        found = {name: kind_of(file[name]) for name in file}
    assert found == {"r": "ragged", "e": "encoded", "x": "dataset"}


def test_statistics_are_those_of_the_whole_column(tmp_path):
    rng = np.random.default_rng(2)
    values = rng.normal(1e6, 2.0, 1000)
    values[::10] = np.nan
    lengths = rng.integers(0, 4, 1000)
    table = lh5.Table(
        {
            "x": lh5.Array(values, {"units": "keV"}),
            "flag": lh5.Array(rng.random(1000) > 0.5),
            "name": lh5.Array(np.full(1000, b"V01")),
            "all_nan": lh5.Array(np.full(1000, np.nan)),
            "v": lh5.VectorOfVectors(rng.integers(0, 99, lengths.sum()), lengths.cumsum()),
            "n": lh5.Table({"w": lh5.Array(rng.integers(0, 9, (1000, 5)).astype("u2"))}),
        }
    )
    with lh5.Writer(tmp_path / "a.lh5") as out:
        out.write("t", table)
    found = {s.name: s for s in describe(tmp_path / "a.lh5", "t", block_rows=77)}
    x = found["x"]
    assert (x.n_rows, x.n_values, x.n_nan, x.units, x.dtype) == (1000, 1000, 100, "keV", "float64")
    assert (x.minimum, x.maximum) == (np.nanmin(values), np.nanmax(values))
    assert x.mean == pytest.approx(np.nanmean(values), rel=1e-14)
    assert x.std == pytest.approx(np.nanstd(values), rel=1e-10)
    assert found["n/w"].n_values == 5000
    assert found["v"].n_values == lengths.sum()
    assert found["flag"].mean == pytest.approx(table["flag"].values.mean())
    assert np.isnan([found["name"].mean, found["all_nan"].mean, found["all_nan"].std]).all()
    assert describe(tmp_path / "a.lh5", "t/x")[0].name == "t/x"


def test_missing_files_are_named(tmp_path):
    with pytest.raises(LH5Error, match="no such file"):
        entries(tmp_path / "none.lh5")
    (tmp_path / "text.lh5").write_text("x")
    with pytest.raises(LH5Error, match="not a readable HDF5 file"):
        entries(tmp_path / "text.lh5")


def test_real_files_are_listed(testdata):
    for path in sorted((testdata / "lh5").rglob("*.lh5"))[::5]:
        assert len(entries(path)) > 1
