import subprocess
import sys

import numpy as np
import pytest
import yaml

from pygama_core.errors import ParameterError
from pygama_core.par.database import ParameterDatabase, deep_merge, read_parameters
from pygama_core.par.yaml_file import dump_yaml, load_yaml, to_plain, write_yaml

T1, T2, T3 = (f"2023010{day}T000000Z" for day in (1, 2, 3))


@pytest.fixture
def database(tmp_path):
    generated, overrides = tmp_path / "par", tmp_path / "overrides"
    write_yaml(generated / "r0.yaml", {"V01": {"pz": {"tau1": 1.0, "n": [1, 2]}}, "provenance": {"run": "r0"}})
    write_yaml(generated / "r1.yaml", {"V01": {"pz": {"tau1": 2.0, "n": [3]}}, "V02": {"pz": {"tau1": 5.0}}})
    write_yaml(
        generated / "validity.yaml",
        [{"valid_from": T1, "apply": "r0.yaml"}, {"valid_from": T3, "apply": "r1.yaml", "mode": "reset"}],
    )
    write_yaml(overrides / "fix.yaml", {"V01": {"pz": {"tau1": 9.0}}, "V09": {"x": 1}})
    write_yaml(overrides / "validity.yaml", [{"valid_from": T2, "apply": "fix.yaml"}])
    return ParameterDatabase([generated], [overrides])


def test_overrides_come_last_and_touch_only_their_leaf(database):
    assert database.on(T1).get("V01", "pz.tau1") == 1.0
    assert database.on(T2).detector("V01") == {"pz": {"tau1": 9.0, "n": [1, 2]}}
    assert database.on(T3).detector("V01") == {"pz": {"tau1": 9.0, "n": [3]}}
    assert database.on(T3).detectors == ("V01", "V02", "V09")
    assert [path.name for path in database.files_on(T3)] == ["r1.yaml", "fix.yaml"]


def test_explain_names_every_file_that_sets_a_value(database):
    first, last = database.on(T2).explain("V01", "pz.tau1")
    assert (first.path.name, first.value, first.provenance) == ("r0.yaml", 1.0, {"run": "r0"})
    assert (last.path.name, last.value) == ("fix.yaml", 9.0)
    assert [source.path.name for source in database.on(T2).explain("V01", ["pz", "n"])] == ["r0.yaml"]
    assert database.on(T2).explain("V01", "pz.tau1.x") == []


def test_missing_detector_and_key(database):
    parameters = database.on(T1)
    with pytest.raises(ParameterError, match=r"detector V07: not in .*r0.yaml; known are V01"):
        parameters.get("V07", "pz")
    with pytest.raises(ParameterError, match=r"detector V01: no pz.tau2 in .*r0.yaml; there is: n, tau1"):
        parameters.get("V01", "pz.tau2")
    with pytest.raises(ParameterError, match=r"no pz.tau1.x in .*there is: 1.0"):
        parameters.get("V01", "pz.tau1.x")


def test_before_the_first_calibration(database):
    with pytest.raises(ParameterError, match=f"the first entry starts {T1}"):
        database.on("20220101T000000Z")


def test_problems_name_overrides_of_unknown_detectors_and_missing_files(database):
    assert database.problems(T1) == []
    (problem,) = database.problems(T2)
    assert "overrides detector V09, which has no generated parameters" in problem
    database.catalogs[0].directory.joinpath("r0.yaml").unlink()
    assert "r0.yaml does not exist" in database.problems(T2)[0]
    with pytest.raises(ParameterError, match=r"r0.yaml: cannot be read"):
        database.on(T2)


@pytest.mark.parametrize(("text", "message"), [("[1]", "got list, expected a mapping"), ("V01: 3", "V01: got 3")])
def test_malformed_parameter_files(tmp_path, text, message):
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(ParameterError, match=message):
        read_parameters([tmp_path / "p.yaml"])


def test_an_empty_file_has_no_detectors(tmp_path):
    (tmp_path / "p.yaml").touch()
    assert read_parameters([tmp_path / "p.yaml"]) == {}


def test_deep_merge_replaces_lists_and_null_and_shares_nothing():
    first, second = {"a": {"b": 1, "c": [1]}, "d": 2}, {"a": {"c": [2, {"x": 1}]}, "d": None, "e": {"f": 1}}
    merged = deep_merge(first, second)
    assert merged == {"a": {"b": 1, "c": [2, {"x": 1}]}, "d": None, "e": {"f": 1}}
    merged["a"]["c"][1]["x"] = 5
    merged["e"]["f"] = 7
    assert second["a"]["c"][1]["x"] == 1
    assert second["e"]["f"] == 1
    assert first == {"a": {"b": 1, "c": [1]}, "d": 2}


def test_yaml_is_deterministic_and_without_numpy(tmp_path):
    value = {
        "z": np.float64(0.1) + 0.2,
        "a": {2614.5: np.arange(2), 3: np.bool_(True)},
        "n": np.nan,
        "t": (1, "x"),
        "s": 1e-7,
    }
    text = dump_yaml(value)
    assert text == dump_yaml(dict(reversed(value.items())))
    back = yaml.safe_load(text)
    assert back["z"] == 0.3
    assert back["s"] == 1e-7
    assert back["a"] == {2614.5: [0, 1], 3: True}
    assert np.isnan(back["n"])
    write_yaml(tmp_path / "deep" / "x.yaml", value)
    assert (tmp_path / "deep" / "x.yaml").read_text() == text


def test_what_has_no_yaml_form_is_refused(tmp_path):
    with pytest.raises(ParameterError, match=r"a.b\[1\]: object cannot be written"):
        to_plain({"a": {"b": [1, object()]}})
    with pytest.raises(ParameterError, match=r"key \(1, 2\) is not text or a number"):
        to_plain({(1, 2): 3})
    with pytest.raises(ParameterError, match="object cannot be written"):
        write_yaml(tmp_path / "x.yaml", object())
    assert list(tmp_path.iterdir()) == []


def test_yaml_cannot_make_objects(tmp_path):
    (tmp_path / "x.yaml").write_text("a: !!python/object/apply:os.getcwd []")
    with pytest.raises(ParameterError, match="not valid YAML"):
        load_yaml(tmp_path / "x.yaml")


def test_nothing_heavy_is_imported():
    code = "import sys, pygama_core.par.database; print({'scipy', 'iminuit', 'numba', 'pydantic'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


def test_unreadable_text(tmp_path):
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ParameterError, match=r"x.yaml: cannot be read"):
        load_yaml(tmp_path / "x.yaml")
