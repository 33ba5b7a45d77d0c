"""What other writers store differently, and what is damaged."""

import h5py
import numpy as np
import pytest

from pygama_core import lh5
from pygama_core.errors import LH5Error
from pygama_core.lh5 import codecs


def test_variants_of_other_writers(tmp_path):
    """Section 14 of the fact sheet: what the specification, Python and Julia write differently."""
    path = tmp_path / "t.lh5"

    def put(file, name, values, datatype, **options):
        file.create_dataset(name, data=values, **options)
        if datatype is not None:
            file[name].attrs["datatype"] = datatype

    with h5py.File(path, "w") as file:
        put(file, "equal12", np.ones((2, 3, 4)), "array_of_equalsized_arrays<1,2>{real}")
        put(file, "equal_as_array", np.ones((2, 3)), "array<1,1>{real}")
        put(file, "bool_enum", np.bool_(True), "bool")
        put(file, "bool_byte", np.uint8(1), "bool")
        put(file, "bools", np.array([0, 1, 7], "u1"), "array<1>{bool}")
        put(file, "symbol", "geds", "symbol")
        put(file, "texts", np.array(["a", "µm"], object), "array<1>{string}", dtype=h5py.string_dtype())
        put(file, "big", np.array([1, 2], ">i4"), "array<1>{real}")
        put(file, "fixed_name", np.arange(3), np.bytes_(b"array<1>{real} "))
        put(file, "none", np.arange(3.0), None)
        put(file, "none_scalar", 2.5, None)
        put(file, "blanks/a", np.arange(3), "array<1>{real}")
        put(file, "blanks/b", np.arange(3), "array<1>{real}")
        file["blanks"].attrs["datatype"] = "table{a, b}"
        put(file, "ragged/cumulative_length", np.array([1, 3], "u4"), None)
        put(file, "ragged/flattened_data", np.arange(5), None)  # two more than needed
        for name, first in (("py", 0), ("jl", 1)):
            for k in range(11):
                put(file, f"{name}/binning/axis_{first + k}/binedges/first", 0, "real")
                put(file, f"{name}/binning/axis_{first + k}/binedges/last", k + 1, "real")
                put(file, f"{name}/binning/axis_{first + k}/closedleft", np.uint8(1), "bool")
            put(file, f"{name}/weights", np.ones(range(1, 12), "u1")[..., :1].repeat(11, -1), "array<11>{real}")
            put(file, f"{name}/isdensity", np.uint8(0), "bool")
            file[name].attrs["datatype"] = "struct{binning,weights,isdensity}"
    assert lh5.read(path, "equal12").values.shape == (2, 3, 4)
    assert lh5.read(path, "equal_as_array").values.shape == (2, 3)
    assert lh5.read(path, "bool_enum").value is True
    assert lh5.read(path, "bool_byte").value is True
    assert lh5.read(path, "bools").values.tolist() == [False, True, True]
    assert lh5.read(path, "symbol").value == "geds"
    assert lh5.read(path, "texts").values.tolist() == [b"a", "µm".encode()]
    assert lh5.read(path, "big").values.dtype == np.dtype("i4")
    assert lh5.read(path, "fixed_name").values.tolist() == [0, 1, 2]
    assert lh5.read(path, "none").values.tolist() == [0, 1, 2]
    assert lh5.read(path, "none_scalar").value == 2.5
    assert set(lh5.read(path, "blanks")) == {"a", "b"}
    assert lh5.read(path, "ragged").flattened_data.tolist() == [0, 1, 2]
    for name in ("py", "jl"):  # axis_10 comes after axis_2
        assert [axis.n_bins for axis in lh5.read(path, name).axes] == list(range(1, 12))


def test_edges_of_histograms_in_all_forms(tmp_path):
    path = tmp_path / "t.lh5"
    with lh5.Writer(path) as out:
        out.write("h", lh5.Histogram(np.ones(4), (lh5.Axis((0.0, 2.0, 0.5)),)))
        out.write("no", lh5.Struct({"binning": lh5.Scalar(1), "weights": lh5.Scalar(2), "isdensity": lh5.Scalar(3)}))
    with h5py.File(path, "a") as file:
        edges = file["h/binning/axis_1/binedges"]
        del edges["step"]
        edges["length"] = 5
    assert lh5.read(path, "h").axes[0].edges == (0.0, 2.0, 0.5)
    assert lh5.read(path, "h", columns=["weights"])["weights"].values.tolist() == [1, 1, 1, 1]
    assert isinstance(lh5.read(path, "no"), lh5.Struct)
    with h5py.File(path, "a") as file:
        del file["h/binning/axis_1/binedges/first"]
    with pytest.raises(LH5Error, match="edges need first and last"):
        lh5.read(path, "h")
    with pytest.raises(LH5Error, match=r"weights are \(4,\), the axes have \(3,\) bins"):
        lh5.Histogram(np.ones(4), (lh5.Axis((0, 3, 1)),))


def test_damaged_objects_are_errors_that_name_them(tmp_path):
    path = tmp_path / "t.lh5"
    good = lh5.VectorOfVectors(np.arange(6), np.array([2, 4, 6]))
    encoded = codecs.encode(lh5.Array(np.zeros((2, 3), "i2")), codecs.codec("uleb128_zigzag_diff"))
    with lh5.Writer(path) as out:
        for name in ("short", "falls", "odd"):
            out.write(name, good)
        out.write("no_codec", encoded)
        out.write("lost", lh5.Table({"a": lh5.Array(np.zeros(2)), "b": lh5.Array(np.zeros(2))}))
        out.write("uneven", lh5.Table({"a": lh5.Array(np.zeros(2)), "b": lh5.Array(np.zeros(2))}))
    with h5py.File(path, "a") as file:
        file["short/flattened_data"].resize((5,))
        file["falls/cumulative_length"][1] = 1
        file["odd"].attrs["datatype"] = "array<1>{real}"
        del file["no_codec"].attrs["codec"]
        del file["lost/b"]
        file["uneven/b"].resize((1,))
        file["table_array"] = np.zeros(2)
        file["table_array"].attrs["datatype"] = "table{a}"
        file["dangling"] = h5py.SoftLink("/nowhere")
        file["rank0"] = 1.0
        file["rank0"].attrs["datatype"] = "array<1>{real}"
        file["opaque"] = np.zeros(2, [("x", "i4"), ("y", "f8")])
        file["opaque"].attrs["datatype"] = "array<1>{blob}"
        file["opaque2"] = np.zeros(2, [("x", "i4"), ("y", "f8")])
        file["type"] = np.dtype("i4")
    cases = [
        ("short", "flattened_data has 5 rows; the object is truncated"),
        ("falls", "cumulative_length decreases"),
        ("odd", "unknown datatype .* of a group"),
        ("no_codec", "without the attribute codec"),
        ("lost", "lists b, which it does not have"),
        ("uneven", "different numbers of rows"),
        ("table_array", "unknown datatype .* of a dataset"),
        ("dangling", "no object|cannot open"),
        ("rank0", "without rows"),
        ("opaque", "have no LH5 meaning"),
        ("opaque2", "no datatype attribute and dtype"),
        ("type", "neither group nor dataset"),
    ]
    for name, message in cases:
        with pytest.raises(LH5Error, match=message):
            lh5.read(path, name)
    assert set(lh5.read(path, "lost", columns=["a"])) == {"a"}
    for rows in (slice(0, 3), [2, 0]):
        with pytest.raises(LH5Error, match="truncated"):
            lh5.read(path, "short", rows=rows)
    with pytest.raises(LH5Error, match="which has no rows"):
        lh5.n_rows(path, "/")


def test_a_column_that_the_list_does_not_name(tmp_path):
    """Written later by someone who forgot the list: shown if it fits, left out if it is half of a write."""
    path = tmp_path / "t.lh5"
    with lh5.Writer(path) as out:
        out.write("t", lh5.Table({"a": lh5.Array(np.zeros(2))}))
    with h5py.File(path, "a") as file:
        file["t/later"] = np.ones(2)
        file["t/half"] = np.ones(1)
    assert set(lh5.read(path, "t")) == {"a", "later"}


def test_stale_codec_attributes_are_dropped(tmp_path):
    """The reference leaves them on arrays that it has decoded and written plainly."""
    path = tmp_path / "t.lh5"
    with lh5.Writer(path) as out:
        out.write("w", lh5.Array(np.ones((2, 3), "u2"), {"codec": "radware_sigcompress", "codec_shift": -32768.0}))
    assert lh5.read(path, "w").attrs == {}
