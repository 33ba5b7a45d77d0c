"""Edits of existing files: what they change and refuse, and that a killed edit leaves the old or the new file."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest

from pygama_core import lh5
from pygama_core.errors import LH5Error
from pygama_core.lh5 import integrity, journal, modify
from pygama_core.lh5.inspect import entries

IN_PLACE = pytest.mark.parametrize("in_place", [False, True], ids=["copy", "journal"])


def example(n_rows: int, seed: int = 0) -> lh5.Table:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 4, n_rows)
    n = int(lengths.sum())
    inner = lh5.VectorOfVectors(rng.random(2 * n), np.arange(2, 2 * n + 2, 2))
    return lh5.Table(
        {
            "energy": lh5.Array(rng.random(n_rows), {"units": "keV"}),
            "is_good": lh5.Array(rng.random(n_rows) > 0.5),
            "name": lh5.Array(np.array([b"V01"] * n_rows, "S8")),
            "pulses": lh5.VectorOfVectors(rng.integers(0, 9, n), lengths.cumsum(), {"units": "ADC"}),
            "nested": lh5.VectorOfVectors(inner, lengths.cumsum()),
            "waveform": lh5.Table(
                {
                    "t0": lh5.Array(np.zeros(n_rows, "f4"), {"units": "ns"}),
                    "dt": lh5.Array(np.full(n_rows, 16, "f4"), {"units": "ns"}),
                    "values": lh5.Array(rng.integers(0, 65536, (n_rows, 30)).astype("u2"), {"units": "ADC"}),
                }
            ),
        }
    )


def assert_same(found, expected):
    assert type(found) is type(expected)
    if isinstance(expected, lh5.Table):
        assert set(found) == set(expected)
        for name in expected:
            assert_same(found[name], expected[name])
        return
    assert found.attrs.get("units") == expected.attrs.get("units")
    if isinstance(expected, lh5.Array):
        assert found.values.dtype == expected.values.dtype
        np.testing.assert_array_equal(found.values, expected.values)
        return
    np.testing.assert_array_equal(found.cumulative_length, expected.cumulative_length)
    flat, other = found.flattened_data, expected.flattened_data
    if isinstance(other, lh5.VectorOfVectors):
        assert_same(flat, other)
    else:
        np.testing.assert_array_equal(flat, other[: len(flat)])


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "run.lh5"
    with lh5.Writer(path) as out:
        out.append("ch1/hit", example(50))
        out.link("ch1/hit", "hit/V01")
        out.write("info", lh5.Struct({"version": lh5.Scalar("1.0")}))
    return path


def leftovers(path):
    return sorted(p.name for p in path.parent.iterdir() if p.name != path.name)


@IN_PLACE
@pytest.mark.parametrize("n_new", [0, 1, 7, 3000])
def test_append_adds_rows_to_every_column(path, in_place, n_new):
    with modify.edit(path, in_place=in_place) as file:
        file.append("ch1/hit", example(n_new, seed=1))
        file.append("ch1/hit", example(3, seed=2))
    whole = lh5.concatenate([example(50), example(n_new, seed=1), example(3, seed=2)])
    assert_same(lh5.read(path, "ch1/hit"), whole)
    assert_same(lh5.read(path, "hit/V01"), whole)
    assert leftovers(path) == []


@IN_PLACE
@pytest.mark.parametrize("rows", [slice(0, 5), slice(45, 50), np.array([7, 3, 49, 0]), np.arange(50) % 2 == 0], ids=str)
def test_overwrite_rows_keeps_all_others(path, in_place, rows):
    index = np.arange(50)[rows]
    new = example(len(index), seed=3)
    with modify.edit(path, in_place=in_place) as file:
        file.overwrite_rows("ch1/hit", rows, new)
    order = np.arange(50)
    order[index] = 50 + np.arange(len(index))
    assert_same(lh5.read(path, "ch1/hit"), lh5.concatenate([example(50), new]).rows(order))


@IN_PLACE
def test_overwrite_replaces_the_object_under_all_its_names(path, in_place):
    with modify.edit(path, in_place=in_place) as file:
        file.overwrite("ch1/hit", lh5.Table({"a": lh5.Array(np.arange(3))}))
        file.overwrite("info", lh5.Scalar(3))
        file.overwrite("new/deep/x", lh5.Array(np.arange(2)))
    assert list(lh5.read(path, "ch1/hit")) == ["a"]
    with h5py.File(path) as file:
        assert file["hit/V01"] == file["ch1/hit"]
        assert file["new"].attrs["datatype"] == "struct{deep}"
        assert file["new/deep"].attrs["datatype"] == "struct{x}"
    assert lh5.read(path, "info").value == 3


@IN_PLACE
def test_add_and_remove_columns_keep_lists_of_fields_true(path, in_place):
    with modify.edit(path, in_place=in_place) as file:
        file.add_columns("ch1/hit", lh5.Table({"b": lh5.Array(np.arange(50)), "c": lh5.Array(np.ones(50))}))
        file.remove("ch1/hit/nested")
    with h5py.File(path) as file:
        assert file["ch1/hit"].attrs["datatype"] == "table{b,c,energy,is_good,name,pulses,waveform}"
    np.testing.assert_array_equal(lh5.read(path, "ch1/hit/b").values, np.arange(50))


def refused():
    def hit(**changed):
        return lh5.Table({**example(4).columns, **changed})

    floats = np.zeros(4)
    return [
        (lambda f: f.append("ch1/hit", hit(energy=lh5.Array(floats, {"units": "eV"}))), "units 'eV' given for 'keV'"),
        (lambda f: f.append("ch1/hit", hit(energy=lh5.Array(np.zeros(4, int), {"units": "keV"}))), "rows of int64"),
        (lambda f: f.append("ch1/hit", hit(is_good=lh5.Array(np.zeros(4, "u1")))), "nothing is clipped silently"),
        (lambda f: f.append("ch1/hit", hit(name=lh5.Array(np.zeros(4, "S9")))), r"rows of \|S9"),
        (lambda f: f.append("ch1/hit", lh5.Table({"energy": lh5.Array(floats)})), "columns energy given, the table"),
        (lambda f: f.append("ch1/hit", hit(pulses=lh5.Array(floats, {"units": "ADC"}))), "kinds must be equal"),
        (lambda f: f.append("ch1/hit/energy", lh5.Array(floats, {"units": "keV"})), "is one column of a table"),
        (lambda f: f.append("info", lh5.Array(floats)), "has no rows; use overwrite"),
        (lambda f: f.write("ch1/hit", lh5.Scalar(1)), "exists; use overwrite"),
        (lambda f: f.write("ch1/hit/short", lh5.Array(floats)), "4 rows in a table where energy has 50"),
        (lambda f: f.write("ch1/hit/energy/x", lh5.Array(floats)), "which has no members"),
        (lambda f: f.overwrite("ch1/hit/energy", lh5.Array(floats)), "4 rows in a table where"),
        (lambda f: f.overwrite_rows("ch1/hit", slice(0, 3), hit()), "3 rows selected, 4 given"),
        (lambda f: f.overwrite_rows("ch1/hit", np.array([1, 1, 2, 3]), hit()), "a row number occurs twice"),
        (lambda f: f.overwrite_rows("ch1/hit", np.array([1, 2, 3, 50]), hit()), r"outside 0 … 49"),
        (lambda f: f.overwrite_rows("ch1/hit", np.array([True]), hit()), "mask of 1 rows for 50"),
        (lambda f: f.overwrite_rows("nothing", slice(0), hit()), "does not exist; nothing was changed"),
        (lambda f: f.add_columns("ch1/hit", lh5.Table({"energy": lh5.Array(floats)})), "has a column energy"),
        (lambda f: f.add_columns("info", lh5.Table({})), "only tables have columns"),
        (lambda f: f.remove("ch9"), "does not exist; nothing was changed"),
    ]


@IN_PLACE
@pytest.mark.parametrize(("change", "message"), refused(), ids=[message for _, message in refused()])
def test_a_refused_edit_leaves_the_file_byte_for_byte(path, in_place, change, message):
    before = path.read_bytes()

    def edit():
        with modify.edit(path, in_place=in_place) as file:
            file.write("big", example(5000))  # what was done before the refusal must go, too
            change(file)

    with pytest.raises(LH5Error, match=message):
        edit()
    assert path.read_bytes() == before
    assert leftovers(path) == []


def test_edit_needs_a_writable_hdf5_file(tmp_path, path):
    with pytest.raises(LH5Error, match="cannot be edited"):
        modify.append(tmp_path / "none.lh5", "x", lh5.Array(np.zeros(1)))
    (tmp_path / "text.lh5").write_text("no HDF5")
    with pytest.raises(LH5Error, match="not a readable HDF5 file"):
        modify.append(tmp_path / "text.lh5", "x", lh5.Array(np.zeros(1)))
    integrity.stamp(path)
    with pytest.raises(LH5Error, match="carries digests"), modify.edit(path, in_place=True):
        pass


def test_foreign_layouts_grow(tmp_path):
    """Contiguous datasets, 32-bit offsets near their end, big-endian numbers and surplus flattened data."""
    path = tmp_path / "julia.lh5"
    with h5py.File(path, "w") as file:
        file["plain"] = np.arange(3, dtype=">i4")
        file["plain"].attrs["datatype"] = "array<1>{real}"
        group = file.create_group("ragged")
        group.attrs["datatype"] = "array<1>{array<1>{real}}"
        group["flattened_data"] = np.arange(250, dtype="u1")
        group["cumulative_length"] = np.array([100, 240], "u1")
        for member in group.values():
            member.attrs["datatype"] = "array<1>{real}"
    modify.append(path, "plain", lh5.Array(np.array([7], "i4")))
    modify.append(path, "ragged", lh5.VectorOfVectors(np.arange(30, dtype="u1"), np.array([10, 30])))
    np.testing.assert_array_equal(lh5.read(path, "plain").values, [0, 1, 2, 7])
    found = lh5.read(path, "ragged")
    np.testing.assert_array_equal(found.cumulative_length, [100, 240, 250, 270])
    np.testing.assert_array_equal(found.flattened_data, [*range(240), *range(30)])


def waveforms(n_rows, seed=0, dtype="u2"):
    steps = np.random.default_rng(seed).integers(-5, 6, (n_rows, 200))
    values = lh5.Array((15000 + steps.cumsum(axis=1)).astype(dtype), {"units": "ADC"})
    times = {name: lh5.Array(np.zeros(n_rows, "f4"), {"units": "ns"}) for name in ("t0", "dt")}
    return lh5.Table({"waveform": lh5.Table({**times, "values": values}), "n": lh5.Array(np.arange(n_rows))})


@IN_PLACE
@pytest.mark.parametrize("codec", ["radware_sigcompress", "uleb128_zigzag_diff"])
def test_encoded_waveforms_stay_encoded(tmp_path, in_place, codec):
    path = tmp_path / "raw.lh5"
    with lh5.Writer(path, codec=codec) as out:
        out.append("ch1/raw", waveforms(30))
    with modify.edit(path, in_place=in_place) as file:
        file.append("ch1/raw", waveforms(11, seed=1))
        file.overwrite_rows("ch1/raw", np.array([40, 2]), waveforms(2, seed=2))
    order = np.arange(41)
    order[[40, 2]] = [41, 42]
    whole = lh5.concatenate([waveforms(30), waveforms(11, seed=1), waveforms(2, seed=2)]).rows(order)
    assert_same(lh5.read(path, "ch1/raw"), whole)
    with h5py.File(path) as file:
        assert file["ch1/raw/waveform/values"].attrs["codec"] == codec
    with pytest.raises(LH5Error, match="samples of int32 given for uint16"):
        modify.append(path, "ch1/raw", waveforms(1, dtype="i4"))
    short = waveforms(1)
    short["waveform"].columns["values"] = lh5.Array(np.zeros((1, 100), "u2"), {"units": "ADC"})
    with pytest.raises(LH5Error, match="waveforms of 100 samples given, the stored ones have 200"):
        modify.append(path, "ch1/raw", short)


def test_production_file_takes_more_waveforms(testdata, tmp_path):
    """A raw file of LEGEND-200 with both codecs grows by its own rows."""
    (source,) = (testdata / "lh5").rglob("l200-p14-*-tier_raw.lh5")
    path = tmp_path / "raw.lh5"
    shutil.copy(source, path)
    name = next(name for name in lh5.ls(path, "ch*/raw") if lh5.exists(path, f"{name}/waveform_windowed"))
    table = lh5.read(path, name)
    more = table.rows(np.zeros(3, int))
    modify.append(path, name, more)
    again = lh5.read(path, name)
    assert again.n_rows == table.n_rows + 3
    for wave in ("waveform_windowed", "waveform_presummed"):
        expected = lh5.concatenate([table[wave]["values"], more[wave]["values"]])
        np.testing.assert_array_equal(again[wave]["values"].values, expected.values)


def test_one_shot_functions_and_second_editor_sees_the_first(path):
    modify.append(path, "ch1/hit", example(2, seed=5))
    modify.overwrite(path, "info", lh5.Scalar(1))
    modify.overwrite_rows(path, "ch1/hit", slice(0, 1), example(1, seed=6))
    modify.add_columns(path, "ch1/hit", lh5.Table({"x": lh5.Array(np.zeros(52))}))
    modify.remove(path, "hit/V01")
    assert lh5.n_rows(path, "ch1/hit") == 52
    assert lh5.exists(path, "ch1/hit/x")
    assert not lh5.exists(path, "hit/V01")


@pytest.mark.parametrize("stage", ["before the rename", "pages half written"])
def test_journal_decides_between_old_and_new(path, monkeypatch, stage):
    """Whatever of the pages was written: with a journal the edit is completed, without one the old file is there."""
    old = lh5.read(path, "ch1/hit")
    written = []
    apply = journal._apply

    class Killed(BaseException):
        pass

    def killed(descriptor, pages, size):
        half = dict(list(pages.items())[: len(pages) // 2])
        for number, page in half.items():
            os.pwrite(descriptor, page, number * journal.PAGE)
        written.append(len(half))
        raise Killed

    if stage == "before the rename":
        monkeypatch.setattr(journal.Path, "replace", lambda *_: (_ for _ in ()).throw(Killed))
    else:
        monkeypatch.setattr(journal, "_apply", killed)
    added = lh5.concatenate([example(2000, seed=1), example(1, seed=2)])
    with pytest.raises(Killed), modify.edit(path, in_place=True) as file:
        file.append("ch1/hit", added)
    monkeypatch.undo()
    assert journal._apply is apply
    assert journal.recover(path) is (stage != "before the rename")
    expected = [old] if stage == "before the rename" else [old, added]
    assert_same(lh5.read(path, "ch1/hit"), lh5.concatenate(expected))
    assert journal.recover(path) is False


def test_who_looks_at_a_file_completes_its_interrupted_edit(path, monkeypatch):
    monkeypatch.setattr(journal, "_apply", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt), modify.edit(path, in_place=True) as file:
        file.write("added", lh5.Scalar(1))
    monkeypatch.undo()
    assert "added" in [entry.name for entry in entries(path)]
    assert leftovers(path) == []


def test_journal_of_a_changed_file_or_a_damaged_one_is_refused(path, monkeypatch):
    monkeypatch.setattr(journal, "_apply", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt), modify.edit(path, in_place=True) as file:
        file.append("ch1/hit", example(5))
    monkeypatch.undo()
    kept = journal.journal_path(path).read_bytes()
    journal.journal_path(path).write_bytes(kept[:-1] + b"x")
    with pytest.raises(LH5Error, match="journal is damaged"):
        journal.recover(path)
    journal.journal_path(path).write_bytes(kept)
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(LH5Error, match="changed by another program"):
        journal.recover(path)
    with lh5.Writer(path) as out:  # a new file under the old name has nothing to complete
        out.write("x", lh5.Array(np.arange(5000)))
    assert journal.recover(path) is False
    assert not journal.journal_path(path).exists()


# forks an editor for each line and tells its process id; a fork is ready at once, a new interpreter takes a second
EDITORS = """
import os, sys
sys.path.insert(0, {tests!r})
from test_modify import edit_once
from pathlib import Path
path, in_place = Path(sys.argv[1]), sys.argv[2] == "True"
for line in sys.stdin:
    child = os.fork()
    if not child:
        edit_once(path, in_place, int(line))
        os._exit(0)
    print(child, flush=True)
    sys.stdin.readline()  # reaped only now, so that the id to kill cannot be another process's
    os.waitpid(child, 0)
    print("ended", flush=True)
"""


def edit_once(path, in_place, step):
    """Append, replace rows and an object, add a column; a file's content follows from the number of edits alone."""
    with modify.edit(path, in_place=in_place) as file:
        file.append("hit", example(100, seed=step))
        file.overwrite_rows("hit", slice(0, 10), example(10, seed=step))
        file.add_columns("flags", lh5.Table({f"after_{step}": lh5.Array(np.arange(20) > step)}))
        file.overwrite("step", lh5.Scalar(step))


def check_content(path):
    """Return the number of edits a file has seen; fail unless it holds exactly these."""
    journal.recover(path)
    step = lh5.read(path, "step").value
    first = example(10, seed=step) if step else example(100).rows(slice(0, 10))
    blocks = [first, example(100).rows(slice(10, None))]
    expected = lh5.concatenate([*blocks, *(example(100, seed=k) for k in range(1, step + 1))])
    assert_same(lh5.read(path, "hit"), expected)
    flags = {f"after_{k}": lh5.Array(np.arange(20) > k) for k in range(step + 1)}
    assert_same(lh5.read(path, "flags"), lh5.Table(flags))
    return step


def kill_at_random_instants(path, in_place, n_trials):
    """Kill an editing process ``n_trials`` times; return how often the file had the new content."""
    rng = random.Random(12345)
    command = [sys.executable, "-c", EDITORS.format(tests=os.path.dirname(__file__)), str(path), str(in_place)]
    n_new = 0
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as editors:

        def edit(step, seconds):
            editors.stdin.write(f"{step}\n")
            editors.stdin.flush()
            child, began = int(editors.stdout.readline()), time.perf_counter()
            if seconds is not None:
                time.sleep(seconds)
                os.kill(child, signal.SIGKILL)
            editors.stdin.write("reap\n")
            editors.stdin.flush()
            assert editors.stdout.readline() == "ended\n"
            return time.perf_counter() - began

        edit(1, None)
        duration = edit(2, None)
        assert check_content(path) == 2
        for _trial in range(n_trials):
            if (before := check_content(path)) > 8:
                start(path)
                before = 0
            edit(before + 1, rng.random() * 2 * duration)
            after = check_content(path)
            assert after in (before, before + 1)
            n_new += after == before + 1
            # as many instants before the commit as after it, however busy the machine is
            duration *= 0.95 if after > before else 1.05
        editors.stdin.close()
    return n_new


def start(path):
    with lh5.Writer(path) as out:
        out.append("hit", example(100))
        out.append("flags", lh5.Table({"after_0": lh5.Array(np.arange(20) > 0)}))
        out.write("step", lh5.Scalar(0))


@IN_PLACE
def test_killed_editor_leaves_old_or_new_content(tmp_path, in_place):
    path = tmp_path / "run.lh5"
    start(path)
    kill_at_random_instants(path, in_place, 3)


@pytest.mark.workflow
@IN_PLACE
def test_200_killed_editors_leave_old_or_new_content(tmp_path, in_place):
    """100 of each kind; the instants are spread so that both outcomes occur, and many hit the middle of an edit."""
    path = tmp_path / "run.lh5"
    start(path)
    n_new = kill_at_random_instants(path, in_place, 100)
    assert 20 < n_new < 80
