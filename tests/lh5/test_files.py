"""Round trips, partial reads, and files that appear whole or not at all."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pygama_core import lh5
from pygama_core.errors import LH5Error
from pygama_core.lh5.filters import deflate

DTYPES = st.sampled_from(["u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", "?", "S3"])


def example_table(n_rows: int, seed: int = 0) -> lh5.Table:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 4, n_rows)
    inner = lh5.VectorOfVectors(rng.random(2 * lengths.sum()), np.arange(2, 2 * lengths.sum() + 2, 2))
    return lh5.Table(
        {
            "energy": lh5.Array(rng.random(n_rows), {"units": "keV", "description": "calibrated energy"}),
            "is_good": lh5.Array(rng.random(n_rows) > 0.5),
            "cycle": lh5.Array(np.array([b"20230318T012144Z"] * n_rows, "S16")),
            "pulses": lh5.VectorOfVectors(rng.integers(0, 9, lengths.sum()), lengths.cumsum(), {"units": "ADC"}),
            "nested": lh5.VectorOfVectors(inner, lengths.cumsum()),
            "waveform": lh5.Table(
                {
                    "t0": lh5.Array(np.zeros(n_rows, "f4"), {"units": "ns"}),
                    "dt": lh5.Array(np.full(n_rows, 16, "f4"), {"units": "ns"}),
                    "values": lh5.Array(rng.integers(0, 65536, (n_rows, 300)).astype("u2"), {"units": "ADC"}),
                }
            ),
        },
        {"description": "example"},
    )


def assert_equal(found, expected):
    assert type(found) is type(expected)
    assert found.attrs == expected.attrs
    if isinstance(expected, lh5.Array):
        assert found.values.dtype == expected.values.dtype
        np.testing.assert_array_equal(found.values, expected.values)
    elif isinstance(expected, lh5.VectorOfVectors):
        np.testing.assert_array_equal(found.cumulative_length, expected.cumulative_length)
        inner = expected.flattened_data
        if isinstance(inner, lh5.VectorOfVectors):
            assert_equal(found.flattened_data, inner)
        else:
            np.testing.assert_array_equal(found.flattened_data, inner)
    else:
        assert set(found) == set(expected)
        for name in expected:
            assert_equal(found[name], expected[name])


@pytest.mark.parametrize("blocks", [[0], [1], [500], [0, 3, 497], [100] * 5])
def test_table_written_in_blocks_reads_back_whole(tmp_path, blocks):
    whole = example_table(sum(blocks))
    path = tmp_path / "t.lh5"
    edges = np.cumsum([0, *blocks])
    with lh5.Writer(path) as out:
        for first, last in pairwise(edges):
            out.append("ch1/raw", whole.rows(slice(int(first), int(last))))
    assert_equal(lh5.read(path, "ch1/raw"), whole)
    assert lh5.n_rows(path, "ch1/raw") == len(whole["energy"])


@given(
    values=DTYPES.flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=1, max_dims=3, min_side=0))),
    n_blocks=st.integers(1, 3),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_arrays_of_any_dtype_and_shape_round_trip(tmp_path, values, n_blocks):
    path = tmp_path / "a.lh5"
    with lh5.Writer(path) as out:
        for block in np.array_split(values, n_blocks):
            out.append("a", lh5.Array(block))
    found = lh5.read(path, "a").values
    assert found.dtype == values.dtype
    assert found.shape == values.shape
    assert found.tobytes() == values.tobytes()


@pytest.mark.parametrize(
    "rows",
    [
        slice(10, 20),
        slice(0, 0),
        slice(0, 100, 7),
        slice(-3, None),
        np.array([5, 3, 3, 99]),
        np.array([], int),
        np.arange(100) % 9 == 0,
    ],
    ids=str,
)
def test_partial_reads_equal_selection_from_the_whole(tmp_path, rows):
    table = example_table(100)
    path = tmp_path / "t.lh5"
    with lh5.Writer(path) as out:
        out.write("t", table)
    assert_equal(lh5.read(path, "t", rows=rows), table.rows(rows))


def test_columns_reach_into_nested_tables(tmp_path):
    path = tmp_path / "t.lh5"
    with lh5.Writer(path) as out:
        out.write("t", example_table(5))
    found = lh5.read(path, "t", columns=["energy", "waveform/dt", "waveform/values"])
    assert set(found) == {"energy", "waveform"}
    assert set(found["waveform"]) == {"dt", "values"}


def test_struct_and_scalars_round_trip(tmp_path):
    path = tmp_path / "s.lh5"
    members = {"n": 3, "x": 0.5, "flag": True, "text": "µ-veto"}
    with lh5.Writer(path) as out:
        out.write(
            "info",
            lh5.Struct(
                {**{k: lh5.Scalar(v, {"units": "s"}) for k, v in members.items()}, "t": example_table(2)}, {"a": 1}
            ),
        )
    found = lh5.read(path, "info")
    assert found.attrs == {"a": 1}
    assert {name: found[name].value for name in members} == members
    assert type(found["flag"].value) is bool
    assert_equal(found["t"], example_table(2))


def test_link_is_the_same_object(tmp_path):
    path = tmp_path / "t.lh5"
    with lh5.Writer(path) as out:
        out.append("ch1/raw", example_table(2))
        out.link("ch1/raw", "raw/V01")
    with h5py.File(path) as file:
        assert file["raw/V01"] == file["ch1/raw"]
    assert lh5.ls(path, "raw/*") == ["raw/V01"]
    assert lh5.ls(path, "ch*/raw/wave*") == ["ch1/raw/waveform"]
    assert lh5.exists(path, "ch1/raw")
    assert not lh5.exists(path, "ch2/raw")


def test_same_content_gives_same_bytes(tmp_path):
    for name, n_threads in (("a", 1), ("b", 4)):
        with lh5.Writer(tmp_path / name, n_threads) as out:
            out.append("t", example_table(3000))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_compression_gives_the_same_bytes_whatever_was_compressed_before():
    rng = np.random.default_rng(3)
    small = [rng.integers(0, 2, n).astype(np.uint8) for n in rng.integers(20, 400, 300)]
    large = rng.integers(0, 30, 131072).astype(np.uint8)
    outputs = [set() for _ in small]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(20):
            list(pool.map(deflate, [large] * 4))
            for found, output in zip(outputs, pool.map(deflate, small), strict=True):
                found.add(output)
    assert all(len(found) == 1 for found in outputs)


def test_large_dataset_has_whole_rows_in_chunks_whatever_the_block_size(tmp_path):
    with lh5.Writer(tmp_path / "t") as out:
        for _ in range(1000):
            out.append("w", lh5.Array(np.zeros((1, 4096), "u2")))
    with h5py.File(tmp_path / "t") as file:
        assert file["w"].shape == (1000, 4096)
        assert file["w"].chunks == (16, 4096)


def test_file_appears_only_when_whole(tmp_path):
    path = tmp_path / "sub" / "t.lh5"
    with lh5.Writer(path) as out:
        out.append("t", example_table(2))
        assert not path.exists()
    before = path.read_bytes()

    def interrupted():
        with lh5.Writer(path) as out:
            out.append("t", example_table(3))
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        interrupted()
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["t.lh5"]


def test_append_refuses_what_differs(tmp_path):
    def array(values, units="keV"):
        return lh5.Array(np.asarray(values), {"units": units})

    table = lh5.Table({"a": array([1.0])})
    cases = [
        (lh5.Table({"a": array(np.array([1.0], "f4"))}), "rows of float32"),
        (lh5.Table({"a": array([1.0], "eV")}), "units 'eV' appended to 'keV'"),
        (lh5.Table({"b": array([1.0])}), "the table has the columns a"),
        (lh5.Table({"a": lh5.VectorOfVectors(np.zeros(1), np.array([1]))}), "VectorOfVectors appended to an array"),
    ]

    def append_both(first, second):
        with lh5.Writer(tmp_path / "t") as out:
            out.append("t", first)
            out.append("t", second)

    for wrong, message in cases:
        with pytest.raises(LH5Error, match=message):
            append_both(table, wrong)
    assert not (tmp_path / "t").exists()


def test_writer_refuses_what_lh5_cannot_hold(tmp_path):
    one = lh5.Array(np.zeros(1))
    cases = [
        (lh5.Table({"a,b": one}), "LH5 cannot store it"),
        (lh5.Table({"a.b": one}), "LH5 cannot store it"),
        (lh5.Array(np.zeros(1), {"list": [1]}), "only scalars"),
        (lh5.Array(np.zeros(1, "M8[s]")), "no LH5 element type"),
        (lh5.Scalar(object()), "cannot be stored as a scalar"),
    ]
    for wrong, message in cases:
        with pytest.raises(LH5Error, match=message), lh5.Writer(tmp_path / "t") as out:
            out.write("t", wrong)
    with lh5.Writer(tmp_path / "t") as out:
        out.write("t", one)
        with pytest.raises(LH5Error, match="already written"):
            out.write("t", one)
    with pytest.raises(LH5Error, match="different numbers of rows"):
        lh5.Table({"a": one, "b": lh5.Array(np.zeros(2))})
    with pytest.raises(LH5Error, match="truncated"):
        lh5.VectorOfVectors(np.zeros(1), np.array([2]))


def test_reader_errors_name_file_and_object(tmp_path):
    path = tmp_path / "t.lh5"
    with pytest.raises(LH5Error, match="no such file"):
        lh5.read(path, "t")
    path.write_bytes(b"no hdf5")
    with pytest.raises(LH5Error, match="not a readable HDF5 file"):
        lh5.read(path, "t")
    with lh5.Writer(path) as out:
        out.write("t", example_table(3))
    cases = [
        (("u",), {}, "no object 'u'; at the top of the file are: t"),
        (("t",), {"columns": ["x"]}, "no column x; it has"),
        (("t/energy",), {"columns": ["x"]}, "only tables and structs"),
        (("t",), {"rows": np.array([3])}, r"outside 0 … 2"),
        (("t",), {"rows": np.array([True])}, "mask of 1 rows for 3"),
    ]
    for names, options, message in cases:
        with pytest.raises(LH5Error, match=message):
            lh5.read(path, *names, **options)
    with h5py.File(path, "a") as file:
        file["odd"] = [1]
        file["odd"].attrs["datatype"] = "array<1>{}"
    with pytest.raises(LH5Error, match="unknown datatype"):
        lh5.read(path, "odd")


def test_concatenate_joins_every_kind_of_column():
    whole = example_table(50)
    parts = [whole.rows(slice(0, 20)), whole.rows(slice(20, 20)), whole.rows(slice(20, 50))]
    assert_equal(lh5.concatenate(parts), whole)


def test_real_production_files_read(testdata):
    """Every plain object of the public files reads; the encoded ones say that they are."""
    files = sorted((testdata / "lh5").rglob("*.lh5"))
    assert len(files) > 20
    n_read = 0
    for path in files:
        for name in [*lh5.ls(path, "ch*/dsp"), *lh5.ls(path, "ch*/hit"), *lh5.ls(path, "hardware_tcm*")]:
            n_read += lh5.read(path, name).n_rows
    assert n_read > 40_000
