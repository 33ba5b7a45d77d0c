"""`pygama-core lh5 …` and the rewriting of whole files behind it."""

import csv
import importlib.util
import json

import h5py
import numpy as np
import pytest
from test_modify import assert_same, example

from pygama_core import cli, cli_lh5, lh5
from pygama_core.errors import LH5Error
from pygama_core.lh5 import modify, rewrite
from pygama_core.lh5.diff import diff
from pygama_core.lh5.export import export
from pygama_core.lh5.integrity import verify


def run(capsys, *arguments):
    code = cli.main(["lh5", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "run.lh5"
    with lh5.Writer(path) as out:
        out.append("ch1/hit", example(50))
        out.link("ch1/hit", "hit/V01")
        out.write("info", lh5.Struct({"version": lh5.Scalar("1.0")}))
    return path


def test_ls_prints_a_tree_and_json(path, capsys):
    code, out, _ = run(capsys, "ls", path)
    assert code == 0
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert "array float64" in lines["energy"]
    assert "keV" in lines["energy"]
    assert "50x30" in lines["values"]
    assert "\x1b" not in out
    _, out, _ = run(capsys, "ls", path, "ch*/hit/wave*", "--json")
    assert [entry["name"] for entry in json.loads(out)][:2] == ["ch1/hit/waveform", "ch1/hit/waveform/dt"]
    _, out, _ = run(capsys, "ls", path, "--depth", 1)
    assert len(out.splitlines()) == 4
    code, out, err = run(capsys, "ls", path, "nothing")
    assert (code, out) == (1, "")
    assert "no object matches 'nothing'" in err
    assert run(capsys, "ls", path, "-q")[1] == ""


def test_head_prints_rows_structs_and_scalars(path, capsys):
    _, out, _ = run(capsys, "head", path, "ch1/hit", "-n", 3, "--skip", 2, "--columns", "energy", "pulses", "waveform")
    assert len(out.splitlines()) == 4
    assert "energy [keV]" in out
    assert out.splitlines()[1].split()[0] == "2"
    _, out, _ = run(capsys, "head", path, "ch1/hit", "-n", 2, "--json")
    assert json.loads(out)["energy"] == example(50)["energy"].values[:2].tolist()
    assert json.loads(run(capsys, "head", path, "info", "--json")[1]) == {"version": "1.0"}
    assert json.loads(run(capsys, "head", path, "info/version", "--json")[1]) == "1.0"
    code, _, err = run(capsys, "head", path, "none")
    assert code == 1
    assert "no object 'none'" in err


def test_wide_tables_are_cut_to_the_terminal_and_only_there(path, capsys, monkeypatch):
    whole = run(capsys, "head", path, "ch1/hit", "-n", 3)[1].splitlines()
    assert len(whole) == 4
    monkeypatch.setenv("COLUMNS", "60")
    cut = run(capsys, "head", path, "ch1/hit", "-n", 3)[1].splitlines()
    blocks = "\n".join(cut).split("\n\n")
    assert len(blocks) > 1
    for block in blocks:
        lines = block.splitlines()
        assert [line.split()[0] for line in lines] == ["row", "0", "1", "2"]
        assert len(lines[0]) <= 60 or len(lines[0].split()) == 2  # one column may be wider by itself
    names = [name for block in blocks for name in block.splitlines()[0].split()[1:]]
    assert names == whole[0].split()[1:]


def test_head_of_a_struct_shows_the_beginning_of_each_member(path, capsys):
    code, out, _ = run(capsys, "head", path, "/", "-n", 2)
    assert code == 0
    energy = next(line for line in out.splitlines() if line.startswith("ch1/hit/energy"))
    assert len(energy.split()) == 3  # its name and two numbers
    assert "info/version" in out
    content = json.loads(run(capsys, "head", path, "ch1", "-n", 2, "--json")[1])
    assert content["hit"]["energy"] == example(50)["energy"].values[:2].tolist()


def test_columns_without_numbers_have_no_statistics(tmp_path, capsys):
    path = tmp_path / "odd.lh5"
    columns = {"nan": np.full(3, np.nan), "name": np.array([b"V01", b"", b"B2"]), "x": np.array([1.0, np.nan, 3.0])}
    with lh5.Writer(path) as out:
        out.append("t", lh5.Table({name: lh5.Array(values) for name, values in columns.items()}))
        out.append("empty", lh5.Table({"x": lh5.Array(np.empty(0))}))
    lines = {line.split()[0]: line.split() for line in run(capsys, "describe", path, "t")[1].splitlines()}
    assert lines["nan"] == ["nan", "float64", "3", "3", "3"]
    assert lines["name"] == ["name", "string", "3", "3", "0"]
    assert lines["x"][5:] == ["1", "3", "2", "1"]
    assert run(capsys, "describe", path, "empty")[1].splitlines()[1].split() == ["x", "float64", "0", "0", "0"]
    assert run(capsys, "head", path, "empty")[1] == "row  x\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("head", "{}/none.lh5", "x"), 1, "none.lh5: no such file"),
        (("head", "{}", "x"), 1, "is a directory, not a file"),
        (("ls", "{}"), 1, "is a directory, not a file"),
        (("ls", "{}/text"), 1, "not a readable HDF5 file"),
        (("head", "{}/run.lh5", "ch1/hot"), 1, "no object 'ch1/hot'; in ch1 are: hit"),
        (("head", "{}/run.lh5", "ch1/hit", "--columns", "nope"), 1, "no column nope; it has energy"),
        (("head", "{}/run.lh5", "ch1/hit", "-n", "-2"), 2, "'-2' is not a whole number"),
        (("describe", "{}/run.lh5", "ch1"), 1, "a struct, which has no rows; name one of its members: hit"),
        (("export", "{}/run.lh5", "ch1/hit", "{}/x.csv", "--where", "energy >"), 1, "cannot parse"),
        (("verify", "{}/none.lh5", "{}/run.lh5"), 1, "1 faults in 1 of 2 files"),
    ],
)
def test_bad_input_is_explained(path, tmp_path, capsys, arguments, code, message):
    (tmp_path / "text").write_text("not HDF5, but long enough to look at" * 9)
    try:
        found, out, err = run(capsys, *(argument.format(tmp_path) for argument in arguments))
    except SystemExit as ended:  # argparse
        found, out, err = ended.code, "", capsys.readouterr().err
    assert found == code
    assert message in err
    assert "Traceback" not in err
    assert ("run.lh5: good" in out) == (arguments[0] == "verify")


def test_describe(path, capsys):
    _, out, _ = run(capsys, "describe", path, "ch1/hit")
    assert out.splitlines()[0].split()[:3] == ["column", "dtype", "units"]
    found = {column["name"]: column for column in json.loads(run(capsys, "describe", path, "ch1/hit", "--json")[1])}
    assert found["energy"]["mean"] == pytest.approx(example(50)["energy"].values.mean())


def test_concat_keeps_names_and_reports_what_differs(tmp_path, path, capsys):
    other = tmp_path / "other.lh5"
    with lh5.Writer(other) as out:
        out.append("ch1/hit", example(20, seed=4))
        out.link("ch1/hit", "hit/V01")
        out.write("info", lh5.Struct({"version": lh5.Scalar("1.1")}))
    code, out, _ = run(capsys, "concat", path, other, "-o", tmp_path / "all.lh5")
    assert code == 0
    assert "info/version" in out
    assert_same(lh5.read(tmp_path / "all.lh5", "ch1/hit"), lh5.concatenate([example(50), example(20, seed=4)]))
    with h5py.File(tmp_path / "all.lh5") as file:
        assert file["hit/V01"] == file["ch1/hit"]
        assert file["info/version"][()] == b"1.0"
    with lh5.Writer(other) as out:
        out.append("ch2/hit", example(3))
    with pytest.raises(LH5Error, match="not in all files"):
        rewrite.concat([path, other], tmp_path / "all.lh5")
    with lh5.Writer(other) as out:
        out.append("ch1/hit", lh5.Table({"energy": lh5.Array(np.zeros(2))}))
        out.link("ch1/hit", "hit/V01")
    with pytest.raises(LH5Error, match=r"other.lh5: .*columns energy given"):
        rewrite.concat([path, other], tmp_path / "all.lh5")
    with pytest.raises(LH5Error, match="one or more files besides the output"):
        rewrite.concat([path], path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["all.lh5", "other.lh5", "run.lh5"]


def write_cycle(directory, number, n_rows):
    """Two channels, and events that are pairs of their rows."""
    hit, tcm = directory / f"hit{number}.lh5", directory / f"tcm{number}.lh5"
    with lh5.Writer(hit) as out:
        for key in (1, 2):
            out.append(f"ch{key}/hit", lh5.Table({"x": lh5.Array(1000 * number + 10 * np.arange(n_rows) + key)}))
    rows = np.repeat(np.arange(n_rows), 2)
    ends = 2 * np.arange(1, n_rows + 1)
    columns = {"table_key": np.tile([1, 2], n_rows), "row_in_table": rows}
    with lh5.Writer(tcm) as out:
        out.append("hardware_tcm_1", lh5.Table({n: lh5.VectorOfVectors(v, ends) for n, v in columns.items()}))
    return hit, tcm


def test_joined_coincidence_maps_point_to_the_joined_rows(tmp_path):
    cycles = [write_cycle(tmp_path, number, n) for number, n in enumerate((5, 0, 7))]
    hits, tcms = zip(*cycles, strict=True)
    with pytest.raises(LH5Error, match="counts rows within its own cycle"):
        rewrite.concat(tcms, tmp_path / "tcm.lh5")
    rewrite.concat(hits, tmp_path / "hit.lh5")
    rewrite.concat(tcms, tmp_path / "tcm.lh5", hits=hits)
    tcm = lh5.read(tmp_path / "tcm.lh5", "hardware_tcm_1")
    x = [lh5.read(tmp_path / "hit.lh5", f"ch{key}/hit/x").values for key in (1, 2)]
    for event in range(12):
        first, second = (x[k - 1][r] for k, r in zip(tcm["table_key"][event], tcm["row_in_table"][event], strict=True))
        assert second - first == 1


def test_truncate_by_rows_and_by_events(tmp_path, path, capsys):
    assert run(capsys, "truncate", path, "-n", 7, "-o", tmp_path / "short.lh5")[0] == 0
    assert_same(lh5.read(tmp_path / "short.lh5", "ch1/hit"), example(50).rows(slice(0, 7)))
    assert (tmp_path / "short.lh5").stat().st_size < path.stat().st_size
    hit, tcm = write_cycle(tmp_path, 0, 9)
    kept = rewrite.truncate(hit, tmp_path / "short.lh5", 4, tcm=tcm)
    assert kept == {"ch1/hit": 4, "ch2/hit": 4}
    with pytest.raises(LH5Error, match="cannot keep -1 rows"):
        rewrite.truncate(hit, tmp_path / "short.lh5", -1)
    with pytest.raises(LH5Error, match="no time coincidence map"):
        rewrite.truncate(hit, tmp_path / "short.lh5", 1, tcm=hit)


def test_repack_reclaims_space_and_keeps_content(tmp_path, path, capsys):
    for seed in range(5):
        modify.overwrite(path, "ch1/hit", example(2000, seed=seed))
    grown = path.stat().st_size
    before = tmp_path / "before.lh5"
    before.write_bytes(path.read_bytes())
    assert run(capsys, "repack", path, "--digests", "--checksums")[0] == 0
    with lh5.Writer(tmp_path / "fresh.lh5") as out:
        out.append("ch1/hit", example(2000, seed=4))
    assert path.stat().st_size < 0.5 * grown
    assert path.stat().st_size < 1.3 * (tmp_path / "fresh.lh5").stat().st_size
    assert diff(before, path) == []
    assert verify(path).is_covered
    with h5py.File(path) as file:
        assert file["hit/V01"] == file["ch1/hit"]
    assert run(capsys, "repack", path, "--no-digests", "-o", tmp_path / "plain.lh5")[0] == 0
    assert not verify(tmp_path / "plain.lh5").is_covered
    unchanged = path.read_bytes()
    options = ("--rechunk", "--codec", "none", "-o", tmp_path / "again.lh5")
    assert run(capsys, "repack", path, *options)[0] == 0
    assert diff(path, tmp_path / "again.lh5") == []
    assert path.read_bytes() == unchanged
    code, _, err = run(capsys, "repack", path, before, "-o", tmp_path / "x.lh5")
    assert code == 1
    assert "one file can be written" in err
    with pytest.raises(LH5Error, match="no such file"):
        rewrite.repack(tmp_path / "none.lh5")


def test_verify_exit_codes(path, tmp_path, capsys):
    code, out, _ = run(capsys, "verify", path)
    assert code == 0
    assert "without digest" in out
    assert run(capsys, "verify", path, "--strict")[0] == 1
    rewrite.add_digests(path)
    assert run(capsys, "verify", path, "--strict")[0] == 0
    with h5py.File(path, "r+") as file:
        file["ch1/hit/energy"][0] = 7.0
    (tmp_path / "cut.lh5").write_bytes(path.read_bytes()[:-1])
    code, out, err = run(capsys, "verify", path, tmp_path / "cut.lh5")
    assert code == 1
    assert f"{path}: ch1/hit/energy: content differs from its digest" in out
    assert "2 faults in 2 of 2 files" in err
    faults = json.loads(run(capsys, "verify", path, "--json")[1])[0]["faults"]
    assert faults == [{"name": "ch1/hit/energy", "problem": "content differs from its digest"}]


def test_diff_exit_codes(path, tmp_path, capsys):
    other = tmp_path / "other.lh5"
    rewrite.repack(path, other)
    assert run(capsys, "diff", path, other)[:2] == (0, "equal\n")
    energy = lh5.read(path, "ch1/hit/energy")
    modify.overwrite(other, "ch1/hit/energy", lh5.Array(energy.values + 1e-9, energy.attrs))
    code, out, err = run(capsys, "diff", path, other)
    assert code == 1
    assert out.startswith("ch1/hit/energy: values: 50 of 50 differ")
    assert "differ in 1 objects" in err
    assert run(capsys, "diff", path, other, "--atol", 1e-8)[0] == 0


def test_export_csv(path, tmp_path, capsys):
    output = tmp_path / "hit.csv"
    columns = ["energy", "name", "pulses", "waveform/t0"]
    code, out, _ = run(capsys, "export", path, "ch1/hit", output, "--columns", *columns, "--where", "energy > 0.5")
    assert code == 0
    with output.open() as file:
        rows = list(csv.DictReader(file))
    expected = np.flatnonzero(example(50)["energy"].values > 0.5)
    assert out == f"{output}: {len(rows)} rows\n"
    assert [float(row["energy"]) for row in rows] == example(50)["energy"].values[expected].tolist()
    assert [json.loads(row["pulses"]) for row in rows] == [example(50)["pulses"][row].tolist() for row in expected]
    assert set(rows[0]) == set(columns)
    with pytest.raises(LH5Error, match=r"known endings are \.csv"):
        export(path, "ch1/hit", tmp_path / "hit.root")
    with pytest.raises(LH5Error, match="only tables can be exported"):
        export(path, "ch1/hit/energy", tmp_path / "x.csv")
    assert not (tmp_path / "x.csv").exists()


def test_export_arrow_and_parquet_or_what_they_need(path, tmp_path):
    output = tmp_path / "hit.parquet"
    if importlib.util.find_spec("pyarrow") is None:
        with pytest.raises(LH5Error, match="needs the package pyarrow"):
            export(path, "ch1/hit", output)
        return
    import pyarrow.feather
    import pyarrow.parquet as pq

    names = ["energy", "is_good", "name", "pulses", "nested", "waveform"]
    for output in (tmp_path / "new directory" / "hit.parquet", tmp_path / "hit.arrow", tmp_path / "hit.feather"):
        table = example(50)
        chosen = np.flatnonzero(table["energy"].values > 0.5)
        assert export(path, "ch1/hit", output, columns=names, where="energy > 0.5") == len(chosen)
        found = pq.read_table(output) if output.suffix == ".parquet" else pyarrow.feather.read_table(output)
        assert found["energy"].to_pylist() == table["energy"].values[chosen].tolist()
        assert found["pulses"].to_pylist() == [table["pulses"][row].tolist() for row in chosen]
        assert b"keV" in str(found.schema.field("energy").metadata).encode()
    assert export(path, "ch1/hit", output, where="energy > 1e9") == 0
    assert pyarrow.feather.read_table(output).num_rows == 0


def test_progress_is_silent_without_a_terminal_and_early(capsys, monkeypatch):
    with cli_lh5.Progress(2) as progress:
        progress("a")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(cli_lh5.sys.stderr, "isatty", lambda: True, raising=False)
    with cli_lh5.Progress(2) as progress:
        progress("early")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(cli_lh5, "PROGRESS_AFTER_S", -1.0)
    with cli_lh5.Progress(2) as progress:
        progress("first file")
    assert "first file" in capsys.readouterr().err
