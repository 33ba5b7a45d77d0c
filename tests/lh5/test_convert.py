"""Results as objects of other packages."""

import sys

import numpy as np
import pytest

from pygama_core import lh5
from pygama_core.errors import LH5Error
from pygama_core.lh5 import codecs, convert


@pytest.fixture
def table() -> lh5.Table:
    waveform = codecs.encode(lh5.Array(np.arange(12, dtype="u2").reshape(3, 4)), codecs.codec("uleb128_zigzag_diff"))
    return lh5.Table(
        {
            "energy": lh5.Array(np.array([1.5, 2.5, np.nan]), {"units": "keV"}),
            "good": lh5.Array(np.array([True, False, True])),
            "name": lh5.Array(np.array([b"V01", b"B", "µ".encode()])),
            "hits": lh5.VectorOfVectors(np.array([1, 2, 3]), np.array([2, 2, 3])),
            "deep": lh5.VectorOfVectors(
                lh5.VectorOfVectors(np.array([1.0, 2, 3]), np.array([1, 3])), np.array([0, 2, 2])
            ),
            "wf": lh5.Table({"values": waveform, "dt": lh5.Array(np.ones(3), {"units": "ns"})}),
        },
        {"description": "a"},
    )


def test_numpy(table):
    found = convert.to_numpy(lh5.Table({name: table[name] for name in table if name != "deep"}))
    assert set(found) == {"energy", "good", "name", "hits", "wf_values", "wf_dt"}
    np.testing.assert_array_equal(found["hits"], [[1, 2], [np.nan, np.nan], [3, np.nan]])
    np.testing.assert_array_equal(found["wf_values"], np.arange(12).reshape(3, 4))
    np.testing.assert_array_equal(convert.to_numpy(table["hits"], fill=-1), [[1, 2], [-1, -1], [3, -1]])
    assert convert.to_numpy(table["hits"].rows(slice(0, 0))).shape == (0, 0)
    weights, edges = convert.to_numpy(lh5.Histogram(np.ones(2), (lh5.Axis((0, 2, 1)),)))
    assert (weights.tolist(), edges.tolist()) == ([1, 1], [0, 1, 2])
    with pytest.raises(LH5Error, match="nested more than once"):
        convert.to_numpy(table)
    with pytest.raises(LH5Error, match="a Scalar cannot be turned into NumPy arrays"):
        convert.to_numpy(lh5.Scalar(1))


def test_pandas(table):
    pytest.importorskip("pandas")
    frame = convert.to_pandas(table)
    assert frame.attrs["units"] == {"energy": "keV", "wf_dt": "ns"}
    assert frame["name"].tolist() == ["V01", "B", "µ"]
    assert frame["hits"][0].tolist() == [1, 2]
    assert frame["deep"].tolist() == [[], [[1.0], [2.0, 3.0]], []]
    assert frame["wf_values"][2].tolist() == [8, 9, 10, 11]
    assert frame["good"].dtype == bool
    assert convert.to_pandas(table["energy"]).attrs == {"units": "keV"}
    with pytest.raises(LH5Error, match="cannot be turned into a pandas object"):
        convert.to_pandas(lh5.Scalar(1))


def test_awkward(table):
    awkward = pytest.importorskip("awkward")
    found = convert.to_awkward(table)
    assert found.hits.tolist() == [[1, 2], [], [3]]
    assert found.deep.tolist() == [[], [[1], [2, 3]], []]
    assert found.name.tolist() == ["V01", "B", "µ"]
    assert found.wf["values"].tolist() == np.arange(12).reshape(3, 4).tolist()
    assert awkward.parameters(found.energy)["units"] == "keV"
    assert np.shares_memory(convert.to_awkward(table["energy"]).layout.data, table["energy"].values)
    with pytest.raises(LH5Error, match="need one text per row"):
        convert.to_awkward(lh5.Array(np.array([[b"a"]])))
    with pytest.raises(LH5Error, match="cannot be turned into an awkward Array"):
        convert.to_awkward(lh5.Scalar(1, {}))


def test_arrow(table):
    pytest.importorskip("pyarrow")
    found = convert.to_arrow(table)
    assert found["hits"].to_pylist() == [[1, 2], [], [3]]
    assert found["deep"].to_pylist() == [[], [[1], [2, 3]], []]
    assert found["name"].to_pylist() == ["V01", "B", "µ"]
    assert found["wf"].to_pylist()[1] == {"values": [4, 5, 6, 7], "dt": 1.0}
    assert found.schema.field("energy").metadata == {b"units": b"keV"}
    assert found.schema.metadata == {b"description": b"a"}
    with pytest.raises(LH5Error, match="arrow has no complex numbers"):
        convert.to_arrow(lh5.Table({"a": lh5.Array(np.zeros(1, "c16"))}))
    with pytest.raises(LH5Error, match="a Scalar cannot be turned into an arrow Table"):
        convert.to_arrow(lh5.Scalar(1))


def test_polars(table):
    pytest.importorskip("polars")
    pytest.importorskip("pyarrow")
    found = convert.to_polars(table)
    assert found["hits"].to_list() == [[1, 2], [], [3]]
    assert found["wf"].struct.field("values").to_list()[0] == [0, 1, 2, 3]


def test_hist():
    pytest.importorskip("hist")
    axes = (lh5.Axis((0.0, 2.0, 1.0), True, {"units": "keV"}), lh5.Axis(np.array([0.0, 1, 5, 6])))
    found = convert.to_hist(lh5.Histogram(np.arange(6.0).reshape(2, 3), axes))
    np.testing.assert_array_equal(found.values(), np.arange(6).reshape(2, 3))
    np.testing.assert_array_equal(found.axes[1].edges, [0, 1, 5, 6])
    assert found.axes[0].label == "keV"
    with pytest.raises(LH5Error, match="closed on the right"):
        convert.to_hist(lh5.Histogram(np.ones(2), (lh5.Axis((0, 2, 1), False),)))
    with pytest.raises(LH5Error, match=r"cannot be turned into a hist\.Hist"):
        convert.to_hist(lh5.Scalar(1))


@pytest.mark.parametrize("package", ["pandas", "awkward", "pyarrow", "polars", "hist"])
def test_a_missing_package_is_named(package, table, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    name = {"pyarrow": "to_arrow"}.get(package, f"to_{package}")
    with pytest.raises(LH5Error, match=f"{name} needs the package {package}, which is not installed"):
        getattr(convert, name)(table)
