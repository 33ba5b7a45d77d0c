"""Files of many small datasets, and chunks of many datasets on their way: small indices, bounded memory."""

from concurrent.futures import Future

import h5py
import numpy as np
import pytest

from pygama_core import lh5
from pygama_core.errors import LH5Error
from pygama_core.lh5 import chunks, create, modify


def test_an_empty_file_is_one_for_hdf5_and_takes_all_kinds_of_objects(tmp_path):
    path = tmp_path / "empty.h5"
    create.new_file(path).close()
    with h5py.File(path) as file:
        assert list(file) == []
    with h5py.File(path, "r+") as file:
        for k in range(300):  # more than one leaf and node of the group's tree
            file[f"group{k}/x"] = k
        file["soft"] = h5py.SoftLink("/group7/x")
        file["other"] = h5py.ExternalLink("none.h5", "/x")
        file.create_dataset("many", data=np.arange(5000), chunks=(3,), maxshape=(None,))
    with h5py.File(path) as file:
        assert file["soft"][()] == 7
        assert [file[f"group{k}/x"][()] for k in range(300)] == list(range(300))
        np.testing.assert_array_equal(file["many"][()], np.arange(5000))


def test_the_index_of_a_small_dataset_is_small(tmp_path):
    """HDF5 alone takes 2.8 kB for a dataset like these."""
    path = tmp_path / "raw.lh5"
    attrs = {"units": "ns", "description": "what the column holds"}
    table = lh5.Table({f"c{k:02d}": lh5.Array(np.arange(20, dtype="i4"), attrs) for k in range(30)})
    with lh5.Writer(path) as out:
        for channel in range(20):
            out.append(f"ch{channel}/raw", table)
    assert path.stat().st_size / 600 < 1500
    for channel in (0, 19):
        found = lh5.read(path, f"ch{channel}/raw")
        np.testing.assert_array_equal(found["c07"].values, np.arange(20))
        assert found["c07"].attrs == attrs


def test_long_datasets_are_found_through_the_small_nodes(tmp_path, monkeypatch):
    """Thousands of chunks, a tree of four levels, read as a whole, by rows, and by HDF5; then grown by HDF5."""
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 64)
    path, values = tmp_path / "long.lh5", np.arange(40_000, dtype="i4")
    with lh5.Writer(path) as out:
        for part in np.array_split(values, 7):
            out.append("x", lh5.Array(part))
    np.testing.assert_array_equal(lh5.read(path, "x").values, values)
    rows = np.array([39_999, 0, 17, 20_000])
    np.testing.assert_array_equal(lh5.read(path, "x", rows=rows).values, values[rows])
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["x"][()], values)
    modify.append(path, "x", lh5.Array(values))
    np.testing.assert_array_equal(lh5.read(path, "x").values, np.tile(values, 2))


def test_chunks_on_their_way_are_bounded_over_all_datasets_and_stored_in_order(monkeypatch):
    monkeypatch.setattr(chunks, "PENDING_BYTES", 1000)
    pending, stored = chunks.Pending(), []

    def filtered(number):
        future = Future()
        future.set_result(bytes([number]))
        return future

    for number in range(20):
        pending.put(300, filtered(number), stored.append)
        assert number + 1 - len(stored) <= 3
    pending.drain()
    assert stored == [bytes([number]) for number in range(20)]


def test_encoded_rows_of_one_size_and_ragged_ones_do_not_mix(tmp_path):
    def waveform(values):
        n = len(values)
        return lh5.Table({"t0": lh5.Array(np.zeros(n)), "dt": lh5.Array(np.zeros(n)), "values": values})

    equal = lh5.Array(np.zeros((2, 5), "u2"))
    ragged = lh5.VectorOfVectors(np.zeros(5, "u2"), np.array([2, 5]))
    for first, second, message in (
        (equal, ragged, "ragged rows appended to rows of one size"),
        (ragged, equal, "rows of one size appended to ragged rows"),
    ):
        with pytest.raises(LH5Error, match=message), lh5.Writer(tmp_path / "t", codec="uleb128_zigzag_diff") as out:
            out.append("w", waveform(first))
            out.append("w", waveform(second))
