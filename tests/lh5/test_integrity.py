"""Digests say what a file holds, not how; every flipped byte is found or is proven to mean nothing."""

import functools
import multiprocessing
import os
import shutil

import h5py
import numpy as np
import pytest
from test_modify import example

from pygama_core import lh5
from pygama_core.errors import LH5Error
from pygama_core.lh5 import check, integrity, modify, rewrite
from pygama_core.lh5.check import verify_apart
from pygama_core.lh5.diff import diff
from pygama_core.lh5.integrity import digest, verify


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "run.lh5"
    with lh5.Writer(path) as out:
        out.append("ch1/hit", example(300))
        out.link("ch1/hit", "hit/V01")
        out.write("info", lh5.Struct({"version": lh5.Scalar("1.0"), "n": lh5.Scalar(3, {"units": "s"})}))
    return path


def names(verification):
    return [fault.name for fault in verification.faults]


def test_digest_does_not_depend_on_chunks_filters_or_blocks(tmp_path):
    values = np.random.default_rng(1).integers(0, 4000, (300, 50)).astype("u2")
    found = set()
    for number, options in enumerate([{}, {"chunks": (7, 11)}, {"chunks": (64, 50), "compression": "gzip"}]):
        path = tmp_path / f"{number}.lh5"
        with h5py.File(path, "w") as file:
            file.create_dataset("w", data=values, **options)
            file["w"].attrs.update({"datatype": "array_of_equalsized_arrays<1,1>{real}", "units": "ADC"})
        found.add(digest(path, "w"))
    with lh5.Writer(tmp_path / "x.lh5") as out:
        out.append("w", lh5.Array(values[:100], {"units": "ADC"}))
        out.append("w", lh5.Array(values[100:], {"units": "ADC"}))
    found.add(digest(tmp_path / "x.lh5", "w"))
    assert len(found) == 1


def test_digest_does_not_depend_on_the_codec(tmp_path):
    steps = np.random.default_rng(1).integers(-5, 6, (50, 300)).cumsum(axis=1)
    times = {name: lh5.Array(np.zeros(50, "f4")) for name in ("t0", "dt")}
    table = lh5.Table({**times, "values": lh5.Array((9000 + steps).astype("u2"), {"units": "ADC"})})
    found = {}
    for codec in (None, "radware_sigcompress", "uleb128_zigzag_diff"):
        path = tmp_path / f"{codec}.lh5"
        with lh5.Writer(path, codec=codec) as out:
            out.append("ch1/raw/waveform", table)
        found[codec] = [digest(path, name) for name in ("/", "ch1/raw/waveform/values")]
        assert diff(tmp_path / "None.lh5", path) == []
        rewrite.add_digests(path)
        assert verify(path).is_covered
        assert verify(path).faults == ()
    assert found[None] == found["radware_sigcompress"] == found["uleb128_zigzag_diff"]
    with h5py.File(path, "r+") as file:
        file["ch1/raw/waveform/values/encoded_data/flattened_data"][7] ^= 1
    assert names(verify(path)) == ["ch1/raw/waveform/values"]
    with h5py.File(path, "r+") as file:
        file["ch1/raw/waveform/values/encoded_data/flattened_data"][7] ^= 1
        file["ch1/raw/waveform/values/encoded_data"].attrs["datatype"] = "array<1>{rdal}"
    assert "datatype of encoded_data is 'array<1>{rdal}'" in verify(path).faults[0].problem


def test_real_files_can_carry_digests(testdata, tmp_path):
    small = [path for path in sorted((testdata / "lh5").rglob("*.lh5")) if path.stat().st_size < 1 << 20]
    for source in small[::5]:
        path = tmp_path / source.name
        rewrite.repack(source, path, digests=True)
        result = verify(path)
        assert result.is_covered
        assert result.faults == ()
        assert diff(source, path) == []


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (np.arange(3, dtype="u2"), np.arange(3, dtype="i4"), True),
        (np.arange(3, dtype="i4"), np.array([0, 1, 3], "i4"), False),
        (np.zeros(3, "f4"), np.zeros(3, "f8"), False),
        (np.zeros(3), -np.zeros(3), False),
        (np.array([2**63], "u8"), np.array([-(2**63)], "i8"), False),
        (np.array([1], ">i4"), np.array([1], "<i4"), True),
        (np.array([b"a"], "S1"), np.array([b"b"], "S1"), False),
    ],
)
def test_digest_tells_values_apart(tmp_path, a, b, same):
    found = []
    for values in (a, b):
        with h5py.File(tmp_path / "x.lh5", "w") as file:
            file["x"] = values
            file["x"].attrs["datatype"] = "array<1>{real}"
        found.append(digest(tmp_path / "x.lh5", "x"))
    assert (found[0] == found[1]) is same


def test_stamped_file_verifies_and_survives_repack_and_edits(path):
    assert not verify(path).is_covered
    rewrite.add_digests(path)
    before = digest(path)
    assert verify(path).is_covered
    assert verify(path).faults == ()
    rewrite.repack(path, checksums=True)
    assert digest(path) == before
    assert verify(path).faults == ()
    with modify.edit(path) as file:
        file.append("ch1/hit", example(5, seed=9))
        file.overwrite("info/n", lh5.Scalar(4))
    assert verify(path).faults == ()
    assert verify(path).is_covered
    assert digest(path) != before


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (lambda f: f["ch1/hit/energy"].__setitem__(3, 0.5), "ch1/hit/energy"),
        (lambda f: f["ch1/hit/pulses/cumulative_length"].__setitem__(slice(0, 2), [0, 0]), "ch1/hit/pulses"),
        (lambda f: f["ch1/hit/nested/flattened_data/flattened_data"].__setitem__(0, 9.0), "ch1/hit/nested"),
        (lambda f: f["ch1/hit/energy"].attrs.__setitem__("units", "eV"), "ch1/hit/energy"),
        (lambda f: f["info/n"].__setitem__((), 7), "info/n"),
        (lambda f: f["info"].attrs.__setitem__("note", "x"), "info"),
        (lambda f: f.move("info/n", "info/m"), "info"),
        (lambda f: f.create_dataset("extra", data=1), "/"),
        (lambda f: f["ch1/hit/waveform"].__delitem__("t0"), "ch1/hit/waveform"),
    ],
)
def test_damage_is_named(path, damage, name):
    rewrite.add_digests(path)
    with h5py.File(path, "r+") as file:
        damage(file)
    assert name in names(verify(path))
    assert name in names(verify_apart(path))


def test_structure_is_checked_without_digests(path):
    with h5py.File(path, "r+") as file:
        file["ch1/hit/pulses/cumulative_length"][5] = 10**6
        del file["ch1/hit/energy"]
        file["ch1/hit/is_good"].resize(2, axis=0)
    found = {fault.name: fault.problem for fault in verify(path).faults}
    assert "cumulative_length decreases or ends behind" in found["ch1/hit/pulses"]
    assert "lists the fields energy, which do not exist" in found["ch1/hit"] or "different numbers" in found["ch1/hit"]
    with pytest.raises(LH5Error, match="no digest can be stored"):
        integrity.stamp(path)
    with pytest.raises(LH5Error, match="cumulative_length decreases"):
        digest(path)


def test_errors_name_what_is_missing(path, tmp_path):
    with pytest.raises(LH5Error, match="no object 'x'"):
        digest(path, "x")
    with pytest.raises(LH5Error, match="no such file"):
        verify(tmp_path / "none.lh5")
    with pytest.raises(LH5Error, match="no such file"):
        verify_apart(tmp_path / "none.lh5")
    (tmp_path / "cut.lh5").write_bytes(path.read_bytes()[:-500])
    assert "not a readable HDF5 file" in verify_apart(tmp_path / "cut.lh5").faults[0].problem


def as_command(popen, python, command, **options):
    return popen(python, **options)


def test_verify_reports_where_it_is_and_gives_up_on_silence_only(path, monkeypatch):
    seen = []
    assert verify_apart(path, report=seen.append).faults == ()
    assert seen[0] == "/"
    assert "ch1/hit/waveform/values" in seen
    seen.clear()
    verify(path, seen.append)
    assert seen.count("ch1/hit/energy") == 2  # before it is read, and after its only block
    for code, problem in [
        ('print(\'{"at": "ch1"}\', flush=True); import time; time.sleep(60)', "no progress for 0.5 s at ch1"),
        ('print(\'{"at": "ch1"}\', flush=True); import os; os.abort()', "ended with code -6 at ch1"),
    ]:
        with monkeypatch.context() as patch:
            popen = check.subprocess.Popen
            python = [check.sys.executable, "-c", code]
            patch.setattr(check.subprocess, "Popen", functools.partial(as_command, popen, python))
            (fault,) = verify_apart(path, stall_s=0.5).faults
        assert fault.name == "/"
        assert problem in fault.problem


def flip_and_verify(arguments):
    """Flip one bit of one byte; return "found", or "same" if the file still says exactly the same."""
    original, copy, offset, bit = arguments
    data = bytearray(original.read_bytes())
    data[offset] ^= 1 << bit
    copy.write_bytes(data)
    try:
        result = verify(copy)
    except LH5Error:
        return "found"
    if result.faults or not result.is_covered:
        return "found"
    return "same" if not diff(original, copy) else f"missed: byte {offset} bit {bit}"


def flips(path, places, bits, tmp_path):
    """Flip bytes in processes of their own, since libhdf5 may crash on a damaged file."""
    counts = {"found": 0, "same": 0, "crashed": 0}
    context = multiprocessing.get_context("spawn")
    tasks = [(path, tmp_path / "flip.lh5", int(o), int(b)) for o, b in zip(places, bits, strict=True)]
    while tasks:
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=run_flips, args=(tasks, sender))
        process.start()
        sender.close()
        n_done = 0
        while n_done < len(tasks):
            try:
                if not receiver.poll(5):
                    process.kill()  # HDF5 hangs; our `verify` command would report a timeout
                result = receiver.recv()
            except EOFError:
                result = "crashed"
            n_done += 1
            assert not result.startswith("missed"), result
            counts[result] += 1
            if result == "crashed":
                break
        process.join()
        tasks = tasks[n_done:]
    return counts


def run_flips(tasks, sender):
    for task in tasks:
        sender.send(flip_and_verify(task))
    sender.close()


def test_flipped_bytes_are_found_or_mean_nothing(path, tmp_path):
    rewrite.add_digests(path)
    rng = np.random.default_rng(1)
    counts = flips(path, rng.integers(0, path.stat().st_size, 40), rng.integers(0, 8, 40), tmp_path)
    assert counts["found"] + counts["crashed"] > 12


@pytest.mark.benchmark
def test_every_byte_is_found_or_means_nothing(tmp_path):
    """One bit of every 199th byte of a small file; with $PYGAMA_CORE_FLIP_STEP=1 of every byte, which takes long."""
    path = tmp_path / "small.lh5"
    with lh5.Writer(path) as out:
        out.append("ch1/hit", example(3))
        out.link("ch1/hit", "hit/V01")
        out.write("info", lh5.Struct({"version": lh5.Scalar("1.0"), "n": lh5.Scalar(3, {"units": "s"})}))
    rewrite.add_digests(path)
    rewrite.repack(path)
    step = int(os.environ.get("PYGAMA_CORE_FLIP_STEP", "199"))
    places = np.arange(0, path.stat().st_size, step)
    counts = flips(path, places, np.random.default_rng(2).integers(0, 8, len(places)), tmp_path)
    print(counts, path.stat().st_size)
    assert counts["found"] > counts["crashed"]


def test_checksums_are_those_of_hdf5(path, tmp_path):
    """HDF5 itself reads back what we gave our checksum, and refuses it when a byte is flipped."""
    rewrite.repack(path, tmp_path / "sum.lh5", checksums=True)
    assert diff(path, tmp_path / "sum.lh5") == []
    with h5py.File(tmp_path / "sum.lh5", "r") as file:
        dataset = file["ch1/hit/waveform/values"]
        assert dataset.fletcher32
        chunk = dataset.id.get_chunk_info(0)
        assert file["hit/V01"] == file["ch1/hit"]
    damaged = tmp_path / "damaged.lh5"
    shutil.copy(tmp_path / "sum.lh5", damaged)
    with open(damaged, "r+b") as file:
        file.seek(chunk.byte_offset + 10)
        byte = file.read(1)[0]
        file.seek(chunk.byte_offset + 10)
        file.write(bytes([byte ^ 4]))
    assert names(verify(damaged)) == ["ch1/hit/waveform/values"]
