"""Headers read without HDF5 say what HDF5 says, on real files, on all kinds of datasets, and on damaged ones."""

import subprocess
import sys

import h5py
import numpy as np
import pytest
from same_objects import assert_same

from pygama_core import lh5
from pygama_core.errors import LH5Error
from pygama_core.lh5 import handle, headers, pages


def by_hdf5(path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(handle, "root_address", lambda file, n_bytes: None)
        return lh5.read(path, "/")


def test_real_files_read_the_same_both_ways(testdata, monkeypatch):
    n_described = 0
    described = headers.read_object

    def count(file, address):
        nonlocal n_described
        found = described(file, address)
        n_described += found is not None
        return found

    monkeypatch.setattr(headers, "read_object", count)
    for path in sorted((testdata / "lh5").rglob("*.lh5"))[::4]:  # the others are of the same kinds
        assert_same(lh5.read(path, "/"), by_hdf5(path, monkeypatch))
    assert n_described > 500  # the shortcut is taken


@pytest.mark.parametrize("libver", ["earliest", "latest", "v110"])
def test_what_hdf5_writes_in_all_versions(libver, tmp_path, monkeypatch):
    path = tmp_path / "t.h5"
    with h5py.File(path, "w", libver=libver, track_order=libver == "v110") as file:
        rng = np.random.default_rng(0)
        for k, dtype in enumerate(["u1", "<i2", ">i4", "f4", "f8", "S5", "c16", "?"]):
            data = rng.integers(0, 2, (300, 3)).astype(dtype)
            file.create_dataset(f"plain{k}", data=data)
            file.create_dataset(f"chunked{k}", data=data, chunks=(7, 2), compression="gzip", shuffle=True)
        file.create_dataset("deep tree", data=np.arange(20_000), chunks=(3,), fletcher32=True)
        file.create_dataset("compact", data=np.arange(3), dcpl=_compact())
        file.create_dataset("lzf", data=np.arange(100), compression="lzf")
        file.create_dataset("many", data=np.arange(3))
        for k in range(40):
            file["many"].attrs[f"a{k}"] = "µ" * k
        file["many"].attrs["number"] = 3.5
        file["plain0"].attrs["empty"] = ""
        file["plain1"].attrs["µ"] = "name"
        file["plain2"].attrs["fixed"] = np.bytes_(b"abc")
        file["plain3"].attrs["list"] = [1, 2]
        file["plain4"].attrs["null"] = h5py.Empty("f4")
        file["soft"] = h5py.SoftLink("/many")
        file.create_dataset("none", (0, 4), "i4", maxshape=(None, 4))
        file["fixed text scalar"] = np.bytes_(b"abc")
    assert_same(lh5.read(path, "/"), by_hdf5(path, monkeypatch))
    assert lh5.read(path, "deep tree").values.tolist() == list(range(20_000))
    assert lh5.read(path, "deep tree", rows=[19_999, 3]).values.tolist() == [19_999, 3]
    assert lh5.read(path, "many").attrs["a39"] == "µ" * 39
    assert lh5.read(path, "plain3").attrs["list"] == [1, 2]


def _compact():
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_layout(h5py.h5d.COMPACT)
    return properties


FUZZ = """
import sys, numpy as np
from pygama_core import lh5
from pygama_core.errors import LH5Error
path, seed = sys.argv[1], int(sys.argv[2])
content = open(path, "rb").read()
rng = np.random.default_rng(seed)
n_wrong = 0
for trial in range(150):
    damaged = bytearray(content)
    for place in rng.integers(0, len(content), rng.integers(1, 4)):
        damaged[place] = rng.integers(0, 256)
    open(path + ".bad", "wb").write(damaged)
    try:
        lh5.read(path + ".bad", "t")
    except LH5Error:
        n_wrong += 1
print(n_wrong)
"""


def test_damaged_bytes_anywhere_are_an_error_of_ours_or_harmless(tmp_path):
    path = tmp_path / "t.lh5"
    values = np.random.default_rng(0).integers(0, 1 << 16, (4, 50)).astype("u2")
    with lh5.Writer(path) as out:
        ragged = lh5.VectorOfVectors(np.arange(9.0), np.array([2, 2, 5, 9]), {"units": "ns"})
        out.append("t", lh5.Table({"a": lh5.Array(values), "b": ragged}))
    done = subprocess.run([sys.executable, "-c", FUZZ, path, "1"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10


def test_a_file_that_ends_in_its_header(tmp_path):
    path = tmp_path / "t.h5"
    path.write_bytes(b"\x89HDF\r\n")
    with path.open("rb") as file:
        start = pages.HeaderFile(file.fileno())
        assert pages.root_address(start, 6) is None
        assert headers.read_object(start, 0) is None
    with pytest.raises(LH5Error, match="not a readable HDF5 file"):
        lh5.read(path, "t")
