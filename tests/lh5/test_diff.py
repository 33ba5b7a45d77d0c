"""Two files are equal if they say the same, however it is stored."""

import h5py
import numpy as np
import pytest
from test_modify import example

from pygama_core import lh5
from pygama_core.lh5 import modify, rewrite
from pygama_core.lh5.diff import Tolerance, diff


@pytest.fixture
def pair(tmp_path):
    paths = [tmp_path / "a.lh5", tmp_path / "b.lh5"]
    for path in paths:
        with lh5.Writer(path) as out:
            out.append("ch1/hit", example(100))
            out.write("info", lh5.Struct({"n": lh5.Scalar(3), "text": lh5.Scalar("x")}))
    return paths


def test_storage_does_not_count(pair):
    rewrite.repack(pair[1], checksums=True, digests=True)
    with h5py.File(pair[1], "r+") as file:
        hit = file["ch1/hit"]
        hit.attrs["datatype"] = "table{waveform,pulses,nested,name,is_good,energy}"
        energy = hit["energy"][()]
        del hit["energy"]
        hit.create_dataset("energy", data=energy, chunks=(7,))
        hit["energy"].attrs.update({"datatype": "array<1>{real}", "units": "keV"})
    assert diff(*pair) == []


@pytest.mark.parametrize(
    ("change", "name", "what", "detail"),
    [
        (
            lambda f: f["ch1/hit/energy"].__setitem__(3, 9.0),
            "ch1/hit/energy",
            "values",
            "1 of 100 differ, first in row 3",
        ),
        (lambda f: f["ch1/hit/waveform/values"].__setitem__((5, 2), 1), "ch1/hit/waveform/values", "values", "row 5"),
        (lambda f: f["ch1/hit/name"].__setitem__(0, b"V02"), "ch1/hit/name", "values", "first in row 0"),
        (lambda f: f["ch1/hit/pulses/flattened_data"].__setitem__(1, 99), "ch1/hit/pulses", "values", "element 1"),
        (lambda f: f["ch1/hit/pulses/cumulative_length"].__setitem__(0, 1), "ch1/hit/pulses", "shape", "row 0 has an"),
        (
            lambda f: f["ch1/hit/energy"].attrs.__setitem__("units", "eV"),
            "ch1/hit/energy",
            "attribute",
            "'keV' and 'eV'",
        ),
        (lambda f: f["info/n"].__setitem__((), 4), "info/n", "values", "1 of 1"),
        (lambda f: f.__delitem__("info/text"), "info/text", "missing", "only in a"),
        (lambda f: f.__setitem__("more", 1), "more", "missing", "only in b"),
        (lambda f: f["ch1/hit/energy"].resize(99, axis=0), "ch1/hit/energy", "rows", "100 and 99"),
        (lambda f: f["ch1/hit"].attrs.__setitem__("datatype", "struct{x}"), "ch1/hit", "kind", "table"),
    ],
)
def test_every_difference_is_named(pair, change, name, what, detail):
    with h5py.File(pair[1], "r+") as file:
        if name == "ch1/hit/pulses" and what == "shape":
            assert file["ch1/hit/pulses/cumulative_length"][0] == 3
        change(file)
    found = [d for d in diff(*pair) if d.name == name]
    assert [d.what for d in found] == [what]
    assert detail in found[0].detail


def test_tolerances_nan_and_dtypes(pair):
    energy = lh5.read(pair[0], "ch1/hit/energy").values
    energy[4] = np.nan
    modify.overwrite(pair[0], "ch1/hit/energy", lh5.Array(energy, {"units": "keV"}))
    near = (energy * (1 + 1e-7)).astype("f4")
    modify.overwrite(pair[1], "ch1/hit/energy", lh5.Array(near, {"units": "keV"}))
    assert {d.what for d in diff(*pair)} == {"values", "dtype"}
    tolerance = Tolerance(relative=1e-6)
    assert [d.detail for d in diff(*pair, tolerance=tolerance)] == ["float64 and float32"]
    assert diff(*pair, tolerance=tolerance, dtypes=False) == []
    assert diff(*pair, tolerance=Tolerance(absolute=1e-3), dtypes=False) == []
    energy[4] = 0.0
    modify.overwrite(pair[1], "ch1/hit/energy", lh5.Array(energy, {"units": "keV"}))
    assert [d.detail for d in diff(*pair)] == ["1 of 100 differ, first in row 4"]


def test_attributes_can_be_left_out_and_links_count(pair):
    with h5py.File(pair[1], "r+") as file:
        file["ch1/hit/energy"].attrs["note"] = "x"
        file["link"] = h5py.SoftLink("/info")
    with h5py.File(pair[0], "r+") as file:
        file["link"] = h5py.SoftLink("/ch1")
    assert [d.name for d in diff(*pair)] == ["ch1/hit/energy", "link"]
    assert [d.name for d in diff(*pair, attributes=False)] == ["link"]


def test_real_files_equal_themselves(testdata, tmp_path):
    for path in sorted((testdata / "lh5").rglob("*.lh5"))[::12]:
        rewrite.repack(path, tmp_path / "b.lh5", checksums=True)
        assert diff(path, tmp_path / "b.lh5") == []
