"""Reading in parts: rows, columns, blocks, many files, foreign chunks and filters, damaged chunks."""

import os
import subprocess
import sys

import h5py
import numpy as np
import pytest

from pygama_core import lh5
from pygama_core.errors import LH5Error
from pygama_core.lh5 import filters

WAVEFORMS = (15000 + np.random.default_rng(0).normal(0, 5, (103, 70))).astype("u2")
# name: options of h5py's create_dataset
FOREIGN = {
    "plain": {},
    "contiguous": {"chunks": None},
    "columns cut": {"chunks": (10, 13), "compression": "gzip", "shuffle": True},
    "gzip alone": {"chunks": (10, 70), "compression": "gzip"},
    "fletcher": {"chunks": (7, 70), "compression": "gzip", "shuffle": True, "fletcher32": True},
    "checksum alone": {"chunks": (7, 70), "fletcher32": True},
    "checksum, odd": {"chunks": (7, 13), "fletcher32": True, "shuffle": True},
    "scaleoffset": {"chunks": (7, 13), "scaleoffset": 0},
    "lzf": {"chunks": (7, 70), "compression": "lzf"},
    "zstd": {"chunks": (10, 13), "compression": 32015, "compression_opts": (3,), "shuffle": True},
    "blosc2": {"chunks": (10, 70), "compression": 32026},
    "bitshuffle": {"chunks": (10, 70), "compression": 32008},
}


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("n_threads", [1, 3])
def test_foreign_chunks_and_filters(name, n_threads, tmp_path, monkeypatch):
    import hdf5plugin  # noqa: F401  registers the filters for writing

    from pygama_core.lh5 import direct

    monkeypatch.setattr(direct, "INLINE_BYTES", 1)  # so that small data go through the threads, too
    path = tmp_path / "t.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("w", data=WAVEFORMS, **FOREIGN[name])
        file["w"].attrs["datatype"] = "array_of_equalsized_arrays<1,1>{real}"
    rng = np.random.default_rng(1)
    with lh5.Reader(path, n_threads) as file:
        for rows in (
            None,
            slice(0, 1),
            slice(9, 31),
            slice(95, 200),
            slice(50, 3),
            slice(5, 90, 7),
            slice(None, None, -1),
        ):
            np.testing.assert_array_equal(file.read("w", rows=rows).values, WAVEFORMS[rows or slice(None)])
        for n in (0, 1, 5, 103, 500):
            rows = rng.integers(0, 103, n)
            np.testing.assert_array_equal(file.read("w", rows=rows).values, WAVEFORMS[rows])
        ranges = np.array([[0, 3], [90, 103], [3, 3]])
        expected = np.concatenate([WAVEFORMS[a:b] for a, b in ranges])
        np.testing.assert_array_equal(file.read("w", rows=ranges).values, expected)


@pytest.mark.parametrize("dtype", ["u1", "i2", "u4", "f8", "S3", "S7", "c16", "?", ">u2"])
@pytest.mark.parametrize("compiled", [False, True])
def test_every_width_of_elements(dtype, compiled, tmp_path, monkeypatch):
    if compiled:
        filters.load_kernels()
    else:
        monkeypatch.setattr(filters, "_kernels", lambda n_bytes: None)
    values = np.frombuffer(
        np.random.default_rng(0).bytes(np.dtype(dtype).itemsize * 1000), dtype if dtype != "?" else "u1"
    )
    values = values > 100 if dtype == "?" else np.nan_to_num(values, nan=1) if values.dtype.kind in "fc" else values
    path = tmp_path / "t.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("w", data=values, chunks=(300,), shuffle=True, compression="gzip")
    np.testing.assert_array_equal(lh5.read(path, "w").values, values)
    native = values.astype(values.dtype.newbyteorder("="))
    with lh5.Writer(tmp_path / "t.lh5") as out:
        out.write("w", lh5.Array(native))
    with h5py.File(tmp_path / "t.lh5") as file:  # HDF5's own filters undo ours
        np.testing.assert_array_equal(file["w"][...], native.view("u1") if dtype == "?" else native)


def test_chunks_that_were_never_written_hold_the_fill_value(tmp_path):
    path = tmp_path / "t.h5"
    with h5py.File(path, "w") as file:
        w = file.create_dataset("w", (1000, 2), "i4", chunks=(10, 2), fillvalue=-7, compression="gzip")
        w[500:510] = 3
        file.create_dataset("ragged/flattened_data", (10**6,), "i4", chunks=(1000,), fillvalue=5, compression="gzip")
        file["ragged/cumulative_length"] = np.array([100, 10**6])
        file.create_dataset("unwritten", (4,), "i4", fillvalue=9)
    expected = np.full((1000, 2), -7)
    expected[500:510] = 3
    np.testing.assert_array_equal(lh5.read(path, "w").values, expected)
    np.testing.assert_array_equal(lh5.read(path, "w", rows=[505, 0, 999]).values, expected[[505, 0, 999]])
    assert set(lh5.read(path, "ragged", rows=[1, 0]).flattened_data.tolist()) == {5}
    assert lh5.read(path, "unwritten").values.tolist() == [9] * 4


def test_a_missing_filter_is_named(tmp_path, monkeypatch):
    import hdf5plugin  # noqa: F401

    from pygama_core.lh5 import direct

    path = tmp_path / "t.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("w", data=WAVEFORMS, chunks=(10, 70), compression=32001)
    monkeypatch.setattr(direct.h5z, "filter_avail", lambda code: False)
    with pytest.raises(LH5Error, match=r"HDF5 filters \[32001\] are not in the package hdf5plugin"):
        lh5.read(path, "w")
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)
    with pytest.raises(LH5Error, match=r"compressed with blosc \(32001\); install the package hdf5plugin"):
        lh5.read(path, "w")


@pytest.mark.parametrize("inflater", ["deflate", "isal"])
@pytest.mark.parametrize("fletcher32", [False, True])
def test_damaged_chunks_are_found(inflater, fletcher32, tmp_path, monkeypatch):
    filters._inflater.cache_clear()
    if inflater == "isal":
        monkeypatch.setitem(sys.modules, "deflate", None)
    path = tmp_path / "t.lh5"
    with lh5.Writer(path, fletcher32=fletcher32) as out:
        out.write("w", lh5.Array(WAVEFORMS))
    with h5py.File(path) as file:
        info = file["w"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    for place in range(info.byte_offset, info.byte_offset + info.size, 97):
        content[place] ^= 0x10
        path.write_bytes(content)
        # without a checksum of HDF5's, deflate's own (Adler-32) finds it
        with pytest.raises(LH5Error, match=r"t.lh5: /w: chunk at row 0: .*damaged"):
            lh5.read(path, "w")
        content[place] ^= 0x10
    path.write_bytes(content)
    np.testing.assert_array_equal(lh5.read(path, "w").values, WAVEFORMS)
    filters._inflater.cache_clear()


def test_checksum_of_uncompressed_data_and_zstd(tmp_path):
    import hdf5plugin  # noqa: F401

    path = tmp_path / "t.h5"
    for options in ({"fletcher32": True}, {"compression": 32015, "fletcher32": True, "shuffle": True}):
        with h5py.File(path, "w") as file:
            file.create_dataset("w", data=WAVEFORMS, chunks=(103, 70), **options)
            info = file["w"].id.get_chunk_info(0)
        np.testing.assert_array_equal(lh5.read(path, "w").values, WAVEFORMS)
        content = bytearray(path.read_bytes())
        content[info.byte_offset + info.size // 2] ^= 1
        path.write_bytes(content)
        with pytest.raises(LH5Error, match="Fletcher-32 checksum is"):
            lh5.read(path, "w")
    with pytest.raises(LH5Error, match="zstd stream is damaged"):
        filters.Pipeline((32015,), 2).decode(b"no zstd", 0, 4, np.empty(4, "u1"))
    with pytest.raises(LH5Error, match="decoded to 2 bytes, expected 4"):
        filters.Pipeline((), 2).decode(b"ab", 0, 4, np.empty(4, "u1"))
    with pytest.raises(LH5Error, match="is read but not written"):
        filters.Pipeline((32015,), 2).encode(np.zeros(4, "u1"))


@pytest.mark.parametrize("compress", [True, False])
def test_a_file_cut_short_is_an_error(compress, tmp_path):
    path = tmp_path / "t.h5"
    with h5py.File(path, "w") as file:
        options = {"chunks": (103, 70), "compression": "gzip"} if compress else {"chunks": None}
        file.create_dataset("w", data=WAVEFORMS, **options)
    with lh5.Reader(path) as file:
        os.truncate(path, path.stat().st_size - 1000)
        with pytest.raises(LH5Error, match="was changed by another program while it was read") as error:
            file.read("w")
    assert "the file is truncated" in str(error.value.__context__)


def test_fletcher32_equals_that_of_hdf5(tmp_path):
    rng = np.random.default_rng(0)
    samples = [np.full(n, v, "u1") for n in (1, 2, 7, 8192, 8193) for v in (0, 255)]
    samples += [rng.integers(0, 256, n).astype("u1") for n in (1, 2, 3, 719, 720, 721, 100_001)]
    for values in samples:
        with h5py.File(tmp_path / "t.h5", "w") as file:
            file.create_dataset("a", data=values, chunks=values.shape, fletcher32=True)
            stored = file["a"].id.read_direct_chunk((0,))[1]
        assert filters.Pipeline((filters.FLETCHER32,), 1).encode(values) == stored


def table(first: int, last: int) -> lh5.Table:
    n = last - first
    return lh5.Table(
        {
            "energy": lh5.Array(np.arange(first, last, dtype="f8"), {"units": "keV"}),
            "energy_raw": lh5.Array(np.arange(first, last)),
            "hits": lh5.VectorOfVectors(np.repeat(np.arange(first, last), 2), np.arange(2, 2 * n + 2, 2)),
            "wf": lh5.Table({"t0": lh5.Array(np.arange(first, last)), "dt": lh5.Array(np.ones(n))}),
            "wf2": lh5.Table({"t0": lh5.Array(np.arange(first, last)), "dt": lh5.Array(np.ones(n))}),
        }
    )


def assert_rows(found: lh5.Table, rows: np.ndarray) -> None:
    np.testing.assert_array_equal(found.array("energy"), rows)
    np.testing.assert_array_equal(found["wf"].array("t0"), rows)
    np.testing.assert_array_equal(found["hits"].flattened_data, np.repeat(rows, 2))


@pytest.fixture
def run(tmp_path):
    """Four files, one of them empty, of 25 rows in all."""
    edges = [0, 7, 7, 15, 25]
    for k in range(4):
        with lh5.Writer(tmp_path / f"cycle{k}.lh5") as out:
            out.append("ch1/hit", table(edges[k], edges[k + 1]))
            out.write("info", lh5.Struct({"n": lh5.Scalar(3), "rows": lh5.Array(np.arange(edges[k], edges[k + 1]))}))
    return tmp_path


def test_many_files_are_one_object(run):
    """Row numbers count through all files; in the reference the first row of a later file comes out wrong."""
    pattern = str(run / "cycle*.lh5")
    everything = np.arange(25)
    assert lh5.n_rows(pattern, "ch1/hit") == 25
    assert_rows(lh5.read(pattern, "ch1/hit"), everything)
    rng = np.random.default_rng(0)
    for _ in range(30):
        rows = rng.integers(0, 25, rng.integers(0, 12))
        assert_rows(lh5.read(pattern, "ch1/hit", rows=rows), rows)
        first, last = rng.integers(0, 30, 2)
        assert_rows(lh5.read(pattern, "ch1/hit", rows=slice(first, last)), everything[first:last])
        mask = rng.random(25) < 0.3
        assert_rows(lh5.read(pattern, "ch1/hit", rows=mask), everything[mask])
    files = [run / "cycle3.lh5", run / "cycle0.lh5"]
    assert_rows(lh5.read(files, "ch1/hit", rows=[9, 10]), np.array([24, 0]))
    info = lh5.read(pattern, "info")
    assert info["n"].value == 3
    np.testing.assert_array_equal(info["rows"].values, everything)
    for rows in ([25], [-1], np.ones(24, bool)):
        with pytest.raises(LH5Error, match=r"outside 0 … 24|mask of 24 rows for 25"):
            lh5.read(pattern, "ch1/hit", rows=rows)
    with pytest.raises(LH5Error, match="no such files"):
        lh5.read(str(run / "*.nothing"), "ch1/hit")
    with pytest.raises(LH5Error, match="the list is empty"):
        lh5.read([], "ch1/hit")


def test_blocks_are_fresh_and_know_their_rows(run):
    pattern = str(run / "cycle*.lh5")
    for n in (1, 3, 7, 100):
        blocks = list(lh5.blocks(pattern, "ch1/hit", ["energy", "wf", "hits"], n))
        assert max(block.table.n_rows for block in blocks) <= n
        np.testing.assert_array_equal(np.concatenate([b.table.array("energy") for b in blocks]), np.arange(25))
        for block in blocks:  # earlier blocks are not touched by later ones
            assert_rows(block.table, block.global_rows)
            assert block.path.name in {"cycle0.lh5", "cycle2.lh5", "cycle3.lh5"}
    rows = np.array([24, 7, 8, 3, 3])
    found = lh5.concatenate(list(lh5.iterate(pattern, "ch1/hit", n_rows=2, rows=rows)))
    assert_rows(found, np.array([3, 3, 7, 8, 24]))
    found = lh5.concatenate([b.table for b in lh5.blocks(pattern, "ch1/hit", n_rows=2, rows=slice(5, 17))])
    assert_rows(found, np.arange(5, 17))
    with pytest.raises(LH5Error, match="blocks of 0 rows"):
        next(lh5.blocks(pattern, "ch1/hit", n_rows=0))


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (["energy*"], ["energy", "energy_raw"]),
        (["wf*/t0"], ["wf/t0", "wf2/t0"]),
        (["*/dt", "hits"], ["hits", "wf/dt", "wf2/dt"]),
        (["wf", "wf/t0"], ["wf/dt", "wf/t0"]),
        (["*", "!wf*", "!hits"], ["energy", "energy_raw"]),
        (["!wf*"], ["energy", "energy_raw", "hits"]),
        (["wf", "!*/t0"], ["wf/dt"]),
        (["wf/t0", "!wf/t*", "wf/d?"], ["wf/dt"]),
        (["energy[_]raw"], ["energy_raw"]),
        ([], []),
    ],
)
def test_column_patterns(columns, expected, run):
    found = lh5.read(run / "cycle0.lh5", "ch1/hit", columns=columns, rows=slice(1, 3))
    names = []
    for name, column in found.items():
        names += [f"{name}/{inner}" for inner in column] if isinstance(column, lh5.Table) else [name]
    assert sorted(names) == expected


def test_columns_that_are_not_there(run):
    for columns, message in [
        (["x"], "no column x; it has energy"),
        (["x*"], r"no column x\*"),
        (["!x"], "no column !x"),
        (["wf/x"], "no column x; it has dt, t0"),
        (["*/x"], r"no column \*/x"),
        ("energy", "is one string; give a list"),
    ]:
        with pytest.raises(LH5Error, match=message):
            lh5.read(run / "cycle0.lh5", "ch1/hit", columns=columns)


def test_rows_that_make_no_sense(run):
    for rows, message in [
        (np.array([0.5]), r"rows of float64 \(1,\)"),
        (np.zeros((2, 3), int), r"rows of int64 \(2, 3\)"),
        ([[3, 1]], "ends before it starts"),
        ([[0, 99]], "outside 0 … 6"),
    ]:
        with pytest.raises(LH5Error, match=message):
            lh5.read(run / "cycle0.lh5", "ch1/hit", rows=rows)


def test_concatenate_refuses_what_differs():
    one = lh5.Array(np.zeros(1), {"units": "keV"})
    ragged = lh5.VectorOfVectors(np.zeros(1), np.array([1]))
    histogram = lh5.Histogram(np.ones(1), (lh5.Axis((0, 1, 1)),))
    cases = [
        ([], "nothing to join"),
        ([one, ragged], "VectorOfVectors after Array"),
        ([one, lh5.Array(np.zeros(1), {"units": "eV"})], "units 'eV' after 'keV'"),
        ([one, lh5.Array(np.zeros((1, 2)), {"units": "keV"})], r"rows of shape \(2,\) after \(\)"),
        ([lh5.Array(np.zeros(1)), lh5.Array(np.zeros(1), {}, "array<1>{detectorid}")], "detectorid"),
        ([lh5.Scalar(1), lh5.Scalar(2)], "Scalar objects differ"),
        ([histogram, lh5.Histogram(np.zeros(1), histogram.axes)], "Histogram objects differ"),
        ([lh5.Struct({"a": one}), lh5.Struct({})], r"structs have different members: \['a'\]"),
    ]
    for objects, message in cases:
        with pytest.raises(LH5Error, match=message):
            lh5.concatenate(objects)
    assert lh5.concatenate([histogram, histogram]) is histogram


def test_encoded_columns_join_only_if_alike():
    from pygama_core.lh5 import codecs

    def encoded(name, n):
        values = np.zeros((2, n), "u2")
        return codecs.encode(lh5.Array(values), codecs.suited(name, values))

    radware, uleb128 = encoded("radware_sigcompress", 5), encoded("uleb128_zigzag_diff", 5)
    with pytest.raises(LH5Error, match="decode them first"):
        lh5.concatenate([radware, uleb128])
    with pytest.raises(LH5Error, match="equal-size waveforms need one length"):
        lh5.concatenate([uleb128, encoded("uleb128_zigzag_diff", 6)])
    assert codecs.decode(lh5.concatenate([radware, radware])).values.shape == (4, 5)


def test_reading_does_not_lock_and_closes_the_file(run):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        lh5.read(run / "cycle0.lh5", "ch1/hit")
        with pytest.raises(LH5Error, match="no object"):
            lh5.read(run / "cycle0.lh5", "ch2/hit")
    assert len(os.listdir("/proc/self/fd")) == before
    with h5py.File(run / "cycle0.lh5", "a"):  # HDF5 forbids this inside one process, but is not asked
        assert lh5.read(run / "cycle0.lh5", "ch1/hit").n_rows
    code = "import h5py, sys; h5py.File(sys.argv[1], 'a').close()"
    with lh5.Reader(run / "cycle0.lh5"):
        subprocess.run([sys.executable, "-c", code, run / "cycle0.lh5"], check=True)


def test_a_path_that_cannot_be_opened(run):
    with pytest.raises(LH5Error, match=r"cycle0.lh5/x: cannot be read \(Not a directory\)"):
        lh5.read(run / "cycle0.lh5" / "x", "ch1/hit")
    with pytest.raises(LH5Error, match="is a directory, not a file"):
        lh5.read(run, "ch1/hit")


def test_import_is_light():
    code = (
        "import sys, pygama_core.lh5 as lh5; "
        "heavy = {'numba', 'scipy', 'pandas', 'awkward', 'pyarrow', 'hdf5plugin', 'zstandard'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
