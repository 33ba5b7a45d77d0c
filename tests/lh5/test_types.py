"""All LH5 types: round trips, and the variants of other writers."""

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from same_objects import assert_same

from pygama_core import lh5
from pygama_core.errors import LH5Error
from pygama_core.lh5 import codecs, datatypes

ENUM = "array<1>{enum{evt_real=1,evt_pulser=2}}"


def round_trip(path, obj, **options):
    with lh5.Writer(path, **options) as out:
        out.write("obj", obj)
    return lh5.read(path, "obj")


OBJECTS = {
    "real": lh5.Scalar(1.5, {"units": "keV"}),
    "integer": lh5.Scalar(-3),
    "text": lh5.Scalar("µ-veto"),
    "empty text": lh5.Scalar(""),
    "symbol": lh5.Scalar("geds", {}, "symbol"),
    "bool": lh5.Scalar(True),
    "complex": lh5.Scalar(1 - 2j),
    "enum": lh5.Scalar(2, {}, "enum{evt_real=1,evt_pulser=2}"),
    "complex array": lh5.Array(np.array([1 + 2j, 3])),
    "complex64": lh5.Array(np.array([1 + 2j, 3], "c8")),
    "half": lh5.Array(np.array([1, 2.5], "f2")),
    "bytes": lh5.Array(np.array([b"abc", b"d"])),
    "enum array": lh5.Array(np.array([1, 2, 1]), {}, ENUM),
    "detector ids": lh5.Array(np.array([1, 2], "u4"), {}, "array<1>{detectorid}"),
    "fixed size": lh5.Array(np.ones((3, 4)), {}, "fixedsize_array<2>{real}"),
    "map": lh5.Array(np.ones((3, 4)), {"units": "ns"}, "array<2>{real}"),
    "rank 2": lh5.Array(np.ones((3, 4), "u1")),
    "rank 4": lh5.Array(np.ones((3, 2, 4, 5), "i2")),
    "no samples": lh5.Array(np.ones((3, 0), "i2")),
    "ragged bools": lh5.VectorOfVectors(np.array([True, False]), np.array([0, 2])),
    "ragged text": lh5.VectorOfVectors(np.array([b"a", b"bc"]), np.array([0, 2])),
    "ragged enum": lh5.VectorOfVectors(np.array([1, 2]), np.array([0, 2]), {}, "enum{a=1,b=2}"),
    "depth 3": lh5.VectorOfVectors(
        lh5.VectorOfVectors(lh5.VectorOfVectors(np.arange(6.0), np.array([1, 3, 6])), np.array([2, 3])), np.array([2])
    ),
    "empty ragged": lh5.VectorOfVectors(np.empty(0, "f4"), np.empty(0, "i8"), {"units": "ns"}),
    "empty struct": lh5.Struct({}),
    "empty table": lh5.Table({}),
    "histogram of range": lh5.Histogram(np.arange(4.0), (lh5.Axis((0.0, 2.0, 0.5), True, {"units": "keV"}),)),
    "histogram 2d": lh5.Histogram(
        np.ones((3, 2)), (lh5.Axis((0, 3, 1)), lh5.Axis(np.array([0, 1.0, 5]), False)), True, {"description": "d"}
    ),
}


@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.parametrize("fletcher32", [False, True])
def test_round_trip(name, fletcher32, tmp_path):
    assert_same(round_trip(tmp_path / "t.lh5", OBJECTS[name], fletcher32=fletcher32), OBJECTS[name])


DTYPES = st.sampled_from(["u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "c8", "c16", "?", "S3", ">i4"])


@st.composite
def columns(draw, n_rows, depth=2):
    """Any column of n_rows rows."""
    kind = draw(st.sampled_from(["array", "ragged", "table"] if depth else ["array"]))
    attrs = draw(st.dictionaries(st.sampled_from(["units", "description"]), st.text("abcµ", max_size=3)))
    if kind == "table":
        names = draw(st.lists(st.sampled_from("abcd"), unique=True, min_size=1))
        return lh5.Table({name: draw(columns(n_rows, depth - 1)) for name in names}, attrs)
    if kind == "array":
        shape = (n_rows, *draw(st.lists(st.integers(1, 3), max_size=2)))
        return lh5.Array(draw(hnp.arrays(draw(DTYPES), shape)), attrs)
    ends = np.cumsum(draw(st.lists(st.integers(0, 4), min_size=n_rows, max_size=n_rows)), dtype=np.int64)
    n = int(ends[-1]) if n_rows else 0
    flat = draw(hnp.arrays(draw(DTYPES), n))
    if depth > 1 and draw(st.booleans()):
        inner = np.cumsum(draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)), dtype=np.int64)
        flat = lh5.VectorOfVectors(draw(hnp.arrays("i2", int(inner[-1]) if n else 0)), inner)
    return lh5.VectorOfVectors(flat, ends, attrs)


def native(obj):
    """What reading gives: byte order of this machine."""
    if isinstance(obj, lh5.Table):
        return lh5.Table({name: native(column) for name, column in obj.items()}, obj.attrs)
    if isinstance(obj, lh5.VectorOfVectors):
        flat = obj.flattened_data
        flat = native(flat) if isinstance(flat, lh5.VectorOfVectors) else flat.astype(flat.dtype.newbyteorder("="))
        return lh5.VectorOfVectors(flat, obj.cumulative_length, obj.attrs)
    return lh5.Array(obj.values.astype(obj.dtype.newbyteorder("=")), obj.attrs)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 6).flatmap(lambda n: st.tuples(columns(n), st.just(n))), st.data())
def test_any_column_round_trips_whole_and_by_rows(tmp_path, case, data):
    column, n_rows = case
    path = tmp_path / "t.lh5"
    with lh5.Writer(path) as out:
        cut = data.draw(st.integers(0, n_rows))
        out.append("obj", column.rows(slice(0, cut)))
        out.append("obj", column.rows(slice(cut, n_rows)))
    expected = native(column)
    assert_same(lh5.read(path, "obj"), expected)
    rows = data.draw(st.lists(st.integers(0, n_rows - 1), max_size=8)) if n_rows else []
    assert_same(lh5.read(path, "obj", rows=rows), expected.rows(np.array(rows, int)))
    first, last = data.draw(st.tuples(st.integers(0, 7), st.integers(0, 7)))
    assert_same(lh5.read(path, "obj", rows=slice(first, last)), expected.rows(slice(first, last)))
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=n_rows, max_size=n_rows)), bool)
    assert_same(lh5.read(path, "obj", rows=mask), expected.rows(np.flatnonzero(mask)))


def test_encoded_waveforms_round_trip_by_rows(tmp_path):
    rng = np.random.default_rng(0)
    values = (15000 + 2 * np.arange(500) + rng.normal(0, 5, (60, 500))).astype("u2")
    wf = lh5.Table(
        {
            "t0": lh5.Array(np.zeros(60, "f4"), {"units": "ns"}),
            "dt": lh5.Array(np.full(60, 16, "f4"), {"units": "ns"}),
            "values": lh5.Array(values, {"units": "ADC"}),
        },
        {"description": "windowed"},
    )
    for codec in ("auto", "uleb128_zigzag_diff", "radware_sigcompress", codecs.codec("uleb128_zigzag_diff")):
        path = tmp_path / "t.lh5"
        with lh5.Writer(path, codec=codec) as out:
            out.append("raw", lh5.Table({"wf": wf.rows(slice(0, 11))}))
            out.append("raw", lh5.Table({"wf": wf.rows(slice(11, 60))}))
        with h5py.File(path) as file:
            assert file["raw/wf/values"].attrs["datatype"] == "array_of_encoded_equalsized_arrays<1,1>{real}"
            assert file["raw/wf/values"].attrs["units"] == "ADC"
        for rows in (None, slice(3, 30), [5, 5, 0, 59], np.arange(60) % 3 == 0, slice(7, 7)):
            found = lh5.read(path, "raw", rows=rows)
            expected = wf if rows is None else wf.rows(np.asarray(rows) if isinstance(rows, list) else rows)
            assert_same(found["wf"], expected)
        kept = lh5.read(path, "raw/wf/values", rows=slice(2, 9), decode=False)
        assert isinstance(kept, lh5.EncodedArray)
        with lh5.Writer(tmp_path / "copy.lh5") as out:
            out.append("values", kept)
            out.append("values", kept)
        np.testing.assert_array_equal(
            lh5.read(tmp_path / "copy.lh5", "values").values, np.concatenate([values[2:9]] * 2)
        )


def test_ragged_encoded_waveforms_round_trip(tmp_path):
    column = lh5.VectorOfVectors(np.arange(10, dtype="i2"), np.array([0, 3, 10]), {"units": "ADC"})
    one = lh5.Array(np.zeros(3, "f4"))
    with lh5.Writer(tmp_path / "t.lh5", codec="uleb128_zigzag_diff") as out:
        out.append("wf", lh5.Table({"t0": one, "dt": one, "values": column}))
    with h5py.File(tmp_path / "t.lh5", "a") as file:
        assert file["wf/values"].attrs["datatype"] == "array<1>{encoded_array<1>{real}}"
    assert_same(lh5.read(tmp_path / "t.lh5", "wf/values"), column)
    with h5py.File(tmp_path / "t.lh5", "a") as file:  # as Julia writes it
        values = file["wf/values"]
        values.attrs["datatype"] = "array_of_encoded_arrays<1,1>{real}"
        sizes = values["decoded_size"][...]
        del values["decoded_size"]
        values["decoded_size"] = sizes[:, np.newaxis]
    assert_same(lh5.read(tmp_path / "t.lh5", "wf/values"), column)


def test_encoded_append_refuses_what_differs(tmp_path):
    def encoded(values, codec="uleb128_zigzag_diff"):
        return codecs.encode(lh5.Array(np.asarray(values)), codecs.suited(codec, np.asarray(values)))

    first = encoded(np.zeros((2, 5), "u2"))
    cases = [
        (encoded(np.zeros((2, 6), "u2")), "rows of 6 samples appended to rows of 5"),
        (encoded(np.zeros((2, 5), "i2")), "int16 appended to .* uint16"),
        (encoded(np.zeros((2, 5), "u2"), "radware_sigcompress"), "waveforms of .*radware.* appended"),
        (lh5.Array(np.zeros((2, 5))), "samples of float64 appended to uint16"),
        (lh5.Table({}), "Table appended to encoded waveforms"),
    ]
    for wrong, message in cases:
        with lh5.Writer(tmp_path / "t.lh5") as out:
            out.append("w", first)
            with pytest.raises(LH5Error, match=message):
                out.append("w", wrong)


def test_views_show_rows_of_their_target(tmp_path):
    path, other = tmp_path / "t.lh5", tmp_path / "other.lh5"
    target = lh5.Table({"a": lh5.Array(np.arange(10.0)), "b": lh5.VectorOfVectors(np.arange(20), np.arange(2, 22, 2))})
    rows = lh5.View("ch1/hit", np.array([1, 4, 9]))
    ranges = lh5.View("ch1/hit", np.array([[0, 2], [2, 3], [7, 10]]))
    with lh5.Writer(path) as out:
        out.append("ch1/hit", target)
        with pytest.raises(LH5Error, match="which was not written"):
            out.write("nothing", lh5.View("ch2/hit", np.array([0])))
        # the table is complete only when the file is
        out.write("rows", rows)
        out.write("ranges", ranges)
    with lh5.Writer(other) as out:
        out.write("far", lh5.View("ch1/hit", np.array([3]), file=path.name))
    assert_same(lh5.read(path, "rows"), target.rows(np.array([1, 4, 9])))
    assert_same(lh5.read(path, "rows", rows=[2, 0]), target.rows(np.array([9, 1])))
    assert_same(lh5.read(path, "ranges"), target.rows(np.array([0, 1, 2, 7, 8, 9])))
    assert_same(lh5.read(path, "ranges", rows=slice(2, 4)), target.rows(np.array([2, 7])))
    assert_same(lh5.read(path, "ranges", columns=["a"])["a"], lh5.Array(np.array([0, 1, 2, 7, 8, 9.0])))
    assert_same(lh5.read(other, "far"), target.rows(np.array([3])))
    assert lh5.n_rows(path, "ranges") == 6
    with lh5.Reader(path) as file:
        found = file.view("ranges")
        assert found.target == "ch1/hit"
        np.testing.assert_array_equal(found.entries, ranges.entries)
        with pytest.raises(LH5Error, match="not a view"):
            file.view("ch1/hit")
    for wrong in ([3, 3], [-1, 2], [[2, 1]], [[0, 3], [2, 4]], [[1, 2, 3]]):
        with pytest.raises(LH5Error, match=r"view: entries"):
            lh5.View("a", np.array(wrong))


def test_datatype_strings():
    enum = datatypes.enum_datatype({"a": 0, "b": -2})
    assert enum == "enum{a=0,b=-2}"
    assert datatypes.enum_members(f"array<1>{{{enum}}}") == {"a": 0, "b": -2}
    assert lh5.Array(np.zeros(1), {}, f"array<1>{{{enum}}}").enum == {"a": 0, "b": -2}
    with pytest.raises(LH5Error, match="NAME=INTEGER"):
        datatypes.enum_members("array<1>{enum{a=x}}")
    with pytest.raises(LH5Error, match="enum member 'a b'"):
        datatypes.enum_datatype({"a b": 1})


def test_writer_refuses_what_does_not_fit(tmp_path):
    cases = [
        (lh5.Array(np.zeros(2), {}, "array<2>{real}"), "does not fit an array of rank 1"),
        (lh5.Array(np.array([1, "a"], object)), "an array of Python objects"),
        (lh5.Array(np.zeros(())), "rank 0 has no rows"),
    ]
    for wrong, message in cases:
        with lh5.Writer(tmp_path / "t.lh5") as out, pytest.raises(LH5Error, match=message):
            out.write("t", wrong)
    with lh5.Writer(tmp_path / "t.lh5") as out:
        out.append("flags", lh5.Array(np.array([True])))
        with pytest.raises(LH5Error, match=r"uint8 appended to a array<1>\{bool\}"):
            out.append("flags", lh5.Array(np.array([2], "u1")))
        out.append("text", lh5.Array(np.array([b"abc"])))
        out.append("text", lh5.Array(np.array([b"d"])))
        with pytest.raises(LH5Error, match="appended to"):
            out.append("text", lh5.Array(np.array([b"too long"])))
        with pytest.raises(LH5Error, match="has no rows; write it as one object"):
            out.append("s", lh5.Scalar(1))
    assert lh5.read(tmp_path / "t.lh5", "text").values.tolist() == [b"abc", b"d"]
    assert lh5.read(tmp_path / "t.lh5", "/").members.keys() == {"flags", "text"}


def test_offsets_beyond_32_bits(tmp_path, monkeypatch):
    """Not by writing 4 GiB: the same arithmetic with the border moved."""
    from pygama_core.lh5 import growing

    encoded = codecs.encode(lh5.Array(np.zeros((4, 10), "u2")), codecs.codec("uleb128_zigzag_diff"))
    for border, dtype in ((1 << 32, "u4"), (80, "i8")):
        monkeypatch.setattr(growing, "WIDE_OFFSETS", border)
        with lh5.Writer(tmp_path / "t.lh5") as out:
            out.append("w", encoded)
            out.append("w", encoded)
        with h5py.File(tmp_path / "t.lh5") as file:
            assert file["w/encoded_data/cumulative_length"].dtype == dtype
            assert file["w/encoded_data/cumulative_length"][-1] == 80
        assert lh5.read(tmp_path / "t.lh5", "w").values.shape == (8, 10)
