"""Every object of every real LH5 file against the reference reader; what we write read by it; what it writes by us."""

import json
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest

from pygama_core import lh5

pytestmark = pytest.mark.peers

# prints nothing; leaves an npz of all leaves, and a JSON of all attributes
DUMP = """
import json, sys
import h5py, numpy as np, lh5
from lgdo import Array, VectorOfVectors, Struct, Scalar, Histogram


def flatten(obj, path):
    attrs[path] = {k: v.item() if hasattr(v, "item") else v for k, v in obj.attrs.items()}
    if isinstance(obj, Scalar):
        value = obj.value.decode() if isinstance(obj.value, bytes) else obj.value
        arrays[path] = np.array(value)
    elif isinstance(obj, VectorOfVectors):
        arrays[path + "/cumulative_length"] = np.asarray(obj.cumulative_length.nda)
        flatten(obj.flattened_data, path + "/flattened_data")
    elif isinstance(obj, Histogram):
        arrays[path + "/weights"] = obj.weights.nda
        arrays[path + "/isdensity"] = np.array(obj.isdensity)
        for k, axis in enumerate(obj.binning):
            edges = axis.edges if axis.is_range is False else np.linspace(axis.first, axis.last, axis.nbins + 1)
            arrays[f"{path}/axis{k}"] = np.asarray(edges)
    elif isinstance(obj, Struct):
        for name in obj:
            flatten(obj[name], f"{path}/{name}")
    else:
        values = obj.nda
        arrays[path] = values.astype("S") if values.dtype.kind == "O" else values

def walk(group, path):
    for name in group:
        full = f"{path}/{name}".strip("/")
        member = group[name]
        if isinstance(member, h5py.Group) and ("datatype" not in member.attrs):
            walk(member, full)
        else:
            flatten(lh5.read(full, source), full)

for k, source in enumerate(sys.argv[2:]):
    arrays, attrs = {}, {}
    with h5py.File(source, locking=False) as file:
        walk(file, "")
    np.savez(f"{sys.argv[1]}/{k}.npz", **{k.replace("/", "|"): v for k, v in arrays.items()})
    open(f"{sys.argv[1]}/{k}.json", "w").write(json.dumps(attrs))
"""


def run_peer(python: str, code: str, *arguments: object) -> str:
    done = subprocess.run([python, "-c", code, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def dump(python: str, paths: list[Path], tmp_path: Path) -> list[tuple[dict, dict]]:
    """Return all leaves and all attributes of each file as the reference reads them."""
    run_peer(python, DUMP, tmp_path, *paths)
    found = []
    for k in range(len(paths)):
        with np.load(tmp_path / f"{k}.npz") as data:
            arrays = {name.replace("|", "/"): data[name] for name in data.files}
        found.append((arrays, json.loads((tmp_path / f"{k}.json").read_text())))
    return found


def flatten(obj, path: str, arrays: dict, attrs: dict) -> None:
    """Bring one of our objects to the same form."""
    attrs[path] = obj.attrs
    if isinstance(obj, lh5.Scalar):
        arrays[path] = np.array(obj.value)
    elif isinstance(obj, lh5.VectorOfVectors):
        arrays[f"{path}/cumulative_length"] = obj.cumulative_length
        flat = obj.flattened_data
        inner = flat if isinstance(flat, lh5.VectorOfVectors) else lh5.Array(flat)
        flatten(inner, f"{path}/flattened_data", arrays, attrs)
    elif isinstance(obj, lh5.Histogram):
        arrays[f"{path}/weights"] = obj.weights
        arrays[f"{path}/isdensity"] = np.array(obj.is_density)
        for k, axis in enumerate(obj.axes):
            arrays[f"{path}/axis{k}"] = axis.bin_edges
    elif isinstance(obj, lh5.Struct | lh5.Table):
        members = obj.members if isinstance(obj, lh5.Struct) else obj.columns
        for name, member in members.items():
            flatten(member, f"{path}/{name}".strip("/"), arrays, attrs)
    else:
        arrays[path] = obj.values


def assert_same(path: Path, theirs: dict, their_attrs: dict) -> int:
    ours: dict = {}
    our_attrs: dict = {}
    flatten(lh5.read(path, "/"), "", ours, our_attrs)
    assert set(ours) == set(theirs)
    for name, values in theirs.items():
        assert ours[name].dtype.kind == values.dtype.kind or {ours[name].dtype.kind, values.dtype.kind} <= set("iu")
        np.testing.assert_array_equal(ours[name], values, err_msg=name)
    for name, found in their_attrs.items():
        for key in set(found) - {"datatype", "codec", "codec_shift"}:
            assert our_attrs.get(name, {}).get(key) == found[key], (name, key)
    return len(theirs)


def real_files(testdata: Path) -> list[Path]:
    """All real LH5 files; one of them does not say so by its name."""
    return [path for path in sorted((testdata / "lh5").rglob("*")) if path.is_file() and h5py.is_hdf5(path)]


def test_every_object_of_every_real_file_equals_the_reference(testdata, peers_python, tmp_path):
    files = real_files(testdata)
    dumps = dump(peers_python, files, tmp_path)
    n_objects = sum(assert_same(path, *found) for path, found in zip(files, dumps, strict=True))
    assert len(files) == 25
    assert n_objects > 3000


PEER_WRITE = """
import sys, warnings
warnings.simplefilter("ignore")
import numpy as np, lh5, lgdo
from lh5.compression import RadwareSigcompress, ULEB128ZigZagDiff

path, rng = sys.argv[1], np.random.default_rng(0)
values = (15000 + np.cumsum(rng.normal(0, 3, (50, 300)), axis=1)).astype("u2")
lh5.write(lgdo.Scalar(1.5, {"units": "keV"}), "real", path)
lh5.write(lgdo.Scalar("text"), "text", path)
lh5.write(lgdo.Scalar(True), "bool", path)
lh5.write(lgdo.Array(np.array([b"abc", b"d"])), "bytes", path)
lh5.write(lgdo.Array(rng.random(10) > 0.5), "bools", path)
lh5.write(lgdo.FixedSizeArray(np.arange(6.0)), "fixed", path)
lh5.write(lgdo.VectorOfVectors([[1, 2], [], [3]], attrs={"units": "ns"}), "ragged", path)
lh5.write(lgdo.VectorOfVectors([[[1, 2], []], [], [[3]]]), "deep", path)
lh5.write(lgdo.Struct({"a": lgdo.Scalar(1), "t": lgdo.Table({"x": lgdo.Array(np.arange(3))})}), "struct", path)
codecs = {"radware": RadwareSigcompress(codec_shift=-32768), "uleb128": ULEB128ZigZagDiff(), "plain": None}
for name, codec in codecs.items():
    attrs = {"compression": codec, "units": "ADC"} if codec else {"units": "ADC"}
    wf = lgdo.WaveformTable(t0=np.zeros(50, "f4"), t0_units="ns", dt=np.full(50, 16, "f4"), dt_units="ns",
        values=lgdo.ArrayOfEqualSizedArrays(nda=values, attrs=attrs))
    for part in (0, 30):
        rows = slice(part, 30 if part == 0 else 50)
        lh5.write(wf, name, path, wo_mode="a", start_row=rows.start, n_rows=rows.stop - rows.start)
edges = [np.array([0, 1, 2.0]), np.array([0, 1, 5.0, 6])]
lh5.write(lgdo.Histogram(np.arange(6.0).reshape(2, 3), edges), "histogram", path)
lh5.write(lgdo.Histogram(np.arange(4.0), [(0.0, 2.0, 0.5)]), "range", path)
"""

EXPECT = """
import sys, warnings
warnings.simplefilter("ignore")
import numpy as np, lh5
path = sys.argv[1]
def read(name, **options):
    return lh5.read(name, path, **options)
expected = np.load(sys.argv[2])
for name in ("plain", "radware", "uleb128"):
    wf = read(name)
    assert type(wf).__name__ == "WaveformTable", type(wf)
    np.testing.assert_array_equal(wf["values"].nda, expected)
    assert wf["t0"].attrs["units"] == "ns"
    np.testing.assert_array_equal(read(name, idx=np.array([3, 40]))["values"].nda, expected[[3, 40]])
encoded = read("radware/values", decompress=False)
assert encoded.attrs["units"] == "ADC" and encoded.attrs["codec"] == "radware_sigcompress"
assert read("text").value in ("text", b"text") and read("bool").value == True and read("real").value == 1.5
assert [list(row) for row in read("ragged")] == [[1, 2], [], [3]]
assert read("bools").nda.tolist() == [True, False, True]
assert read("bytes").nda.tolist() == [b"abc", b"d"]
assert read("rank3").nda.shape == (2, 3, 4)
assert read("ids").nda.tolist() == [1, 2]
assert read("struct")["t"]["x"].nda.tolist() == [0, 1, 2]
assert read("shown").nda.tolist() == [b"d"]
h = read("histogram")
assert type(h).__name__ == "Histogram", type(h)
np.testing.assert_array_equal(h.weights.nda, np.arange(6).reshape(2, 3))
assert read("ch1").attrs["datatype"] == "struct{raw}"
whole = read("/")
print("ok")
"""


def waveform_table(values):
    n = len(values)
    return lh5.Table(
        {
            "t0": lh5.Array(np.zeros(n, "f4"), {"units": "ns"}),
            "dt": lh5.Array(np.full(n, 16, "f4"), {"units": "ns"}),
            "values": lh5.Array(values, {"units": "ADC"}),
        }
    )


def quiet_waveforms() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (15000 + np.cumsum(rng.normal(0, 3, (50, 300)), axis=1)).astype("u2")


def test_the_reference_reads_what_we_write(peers_python, tmp_path):
    path, values = tmp_path / "ours.lh5", quiet_waveforms()
    np.save(tmp_path / "values.npy", values)
    codec_of = {"plain": None, "radware": "radware_sigcompress", "uleb128": "uleb128_zigzag_diff"}
    parts = []
    for name, codec in codec_of.items():
        part = tmp_path / f"{name}.lh5"
        with lh5.Writer(part, codec=codec) as out:
            for first in (0, 20):
                out.append(name, waveform_table(values[first : first + 30 if first else 20]))
        parts.append(part)
    with lh5.Writer(path) as out:
        for name, part in zip(codec_of, parts, strict=True):
            out.write(name, lh5.read(part, name, decode=False))
        out.write("text", lh5.Scalar("text"))
        out.write("bool", lh5.Scalar(True))
        out.write("real", lh5.Scalar(1.5, {"units": "keV"}))
        out.write("bools", lh5.Array(np.array([True, False, True])))
        out.write("bytes", lh5.Array(np.array([b"abc", b"d"])))
        out.write("rank3", lh5.Array(np.zeros((2, 3, 4))))
        out.write("ids", lh5.Array(np.array([1, 2], "u4"), {}, "array<1>{detectorid}"))
        out.write("ragged", lh5.VectorOfVectors(np.array([1, 2, 3]), np.array([2, 2, 3]), {"units": "ns"}))
        table = lh5.Table({"x": lh5.Array(np.arange(3))})
        out.write("struct", lh5.Struct({"t": table, "a": lh5.Scalar(1)}))
        out.write("shown", lh5.View("bytes", np.array([1])))
        axes = (lh5.Axis((0.0, 2.0, 1.0)), lh5.Axis(np.array([0, 1, 5.0, 6])))
        out.write("histogram", lh5.Histogram(np.arange(6.0).reshape(2, 3), axes))
        out.write("ch1/raw", table)
    assert run_peer(peers_python, EXPECT, path, tmp_path / "values.npy").strip() == "ok"


def test_we_read_what_the_reference_writes(peers_python, tmp_path):
    path = tmp_path / "theirs.lh5"
    run_peer(peers_python, PEER_WRITE, path)
    for name in ("radware", "uleb128", "plain"):
        found = lh5.read(path, name)
        np.testing.assert_array_equal(found["values"].values, quiet_waveforms())
        np.testing.assert_array_equal(lh5.read(path, name, rows=[41, 2])["values"].values, quiet_waveforms()[[41, 2]])
        assert found["t0"].attrs["units"] == "ns"
    assert lh5.read(path, "real").attrs == {"units": "keV"}
    assert lh5.read(path, "text").value == "text"
    assert lh5.read(path, "bool").value is True
    assert lh5.read(path, "bools").values.dtype == bool
    assert lh5.read(path, "fixed").datatype == "fixedsize_array<1>{real}"
    assert lh5.read(path, "ragged").attrs["units"] == "ns"
    assert [row.tolist() for row in lh5.read(path, "ragged")] == [[1, 2], [], [3]]
    deep = lh5.read(path, "deep")
    assert [[list(inner) for inner in row] for row in deep] == [[[1, 2], []], [], [[3]]]
    assert lh5.read(path, "struct")["t"].array("x").tolist() == [0, 1, 2]
    histogram = lh5.read(path, "histogram")
    np.testing.assert_array_equal(histogram.weights, np.arange(6).reshape(2, 3))
    np.testing.assert_array_equal(histogram.axes[1].bin_edges, [0, 1, 5, 6])
    assert lh5.read(path, "range").axes[0].edges == (0.0, 2.0, 0.5)
    arrays, attrs = dump(peers_python, [path], tmp_path)[0]
    assert assert_same(path, arrays, attrs) > 20
