"""Readers of files that change meanwhile, or whose interrupted edit they cannot complete."""

import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
from test_modify import assert_same, example

from pygama_core import lh5
from pygama_core.errors import LH5Error
from pygama_core.lh5 import journal, modify


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "run.lh5"
    with lh5.Writer(path) as out:
        out.append("ch1/hit", example(50))
        out.write("info", lh5.Struct({"name": lh5.Scalar("V01")}))
    return path


def test_who_has_a_replaced_file_open_keeps_the_old_one(path):
    with lh5.Reader(path) as file:
        modify.append(path, "ch1/hit", example(5, seed=2))
        assert_same(file.read("ch1/hit"), example(50))
        with pytest.raises(LH5Error, match="was replaced while it was read; open it again"):
            file.read("info/name")  # needs HDF5, which would open the new file
    assert lh5.n_rows(path, "ch1/hit") == 55


def test_an_edit_in_place_is_noticed(path):
    with lh5.Reader(path) as file:
        assert file.n_rows("ch1/hit") == 50
        with modify.edit(path, in_place=True) as edited:
            edited.append("ch1/hit", example(5, seed=2))
            with lh5.Reader(path) as other:  # not yet committed
                assert_same(other.read("ch1/hit"), example(50))
        with pytest.raises(LH5Error, match="was changed by another program while it was read"):
            file.read("ch1/hit")
    assert lh5.n_rows(path, "ch1/hit") == 55


def test_bytes_behind_the_end_do_not_matter_to_a_reader(path):
    with lh5.Reader(path) as file:
        file.read("ch1/hit")
        with path.open("ab") as out:
            out.write(bytes(100_000))
        assert_same(file.read("ch1/hit"), example(50))


def test_another_process_appends_while_this_one_reads(path):
    code = """
import sys
import numpy as np
from pygama_core import lh5
from pygama_core.lh5 import modify
for k in range(20):
    with modify.edit(sys.argv[1], in_place=k % 2 == 0) as file:
        file.append("x", lh5.Array(np.arange(100 * k, 100 * (k + 1))))
"""
    with modify.edit(path) as file:
        file.write("x", lh5.Array(np.arange(0)))
    process = subprocess.Popen([sys.executable, "-c", code, str(path)])
    seen = set()
    while process.poll() is None:
        try:
            values = lh5.read(path, "x").values
        except LH5Error as error:
            assert "while it was read" in str(error)  # noqa: PT017  either the whole truth or this
            continue
        assert values.tolist() == list(range(len(values)))
        assert len(values) % 100 == 0
        seen.add(len(values))
    assert process.returncode == 0
    assert lh5.n_rows(path, "x") == 2000
    assert len(seen) > 1


def interrupted(path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(journal, "_apply", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt), modify.edit(path, in_place=True) as file:
            file.append("ch1/hit", example(5, seed=2))


def test_an_interrupted_edit_that_may_not_be_completed_here(path, monkeypatch):
    interrupted(path, monkeypatch)
    kept = journal.journal_path(path).read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda *_: False)
        with pytest.raises(
            LH5Error, match=r"edit of it was interrupted .* may not be written here; open it once where"
        ):
            lh5.read(path, "ch1/hit")
    assert lh5.n_rows(path, "ch1/hit") == 55
    journal.journal_path(path).write_bytes(kept)  # what is left if the journal could not be removed
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda *_: False)
        assert lh5.n_rows(path, "ch1/hit") == 55
    assert journal.journal_path(path).exists()


def test_a_journal_of_a_file_that_was_replaced_does_not_stop_a_reader(path, monkeypatch):
    interrupted(path, monkeypatch)
    fresh = path.with_name("fresh.lh5")
    with lh5.Writer(fresh) as out:
        out.append("ch1/hit", example(7))
    fresh.replace(path)
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert lh5.n_rows(path, "ch1/hit") == 7


def test_a_file_that_is_removed_or_written_by_hdf5_meanwhile(path):
    with lh5.Reader(path) as file:
        path.unlink()
        assert_same(file.read("ch1/hit"), example(50))
        with pytest.raises(LH5Error, match="no such file any more"):
            file.read("info/name")
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(10)
        with pytest.raises(LH5Error, match=r"not a readable HDF5 file|no object|while it was read"):
            lh5.read(path, "x")  # nothing of it is on disk
        file.flush()
        assert lh5.read(path, "x").values.tolist() == list(range(10))
