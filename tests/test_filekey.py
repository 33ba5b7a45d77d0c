import pytest

from pygama_core.errors import ConfigError
from pygama_core.filekey import CycleKey, FilePattern, cycle_path, par_path, run_path

KEY = "l200-p03-r001-cal-20230318T012144Z"


def test_paths_of_a_cycle():
    key = CycleKey.parse(KEY)
    assert cycle_path("raw", key) == f"raw/cal/p03/r001/{KEY}-tier_raw.lh5"
    assert run_path("evt", key.run_key) == "evt/cal/p03/r001/l200-p03-r001-cal-tier_evt.lh5"
    assert par_path("dsp", key.run_key) == "dsp/cal/p03/r001/l200-p03-r001-cal-par_dsp.yaml"


@pytest.mark.parametrize("text", ["l200-p03-r001-cal", "l200-p03-r001-CAL-20230318T012144Z", KEY + "x", ""])
def test_other_texts_are_no_keys(text):
    with pytest.raises(ConfigError, match="not a cycle key"):
        CycleKey.parse(text)


def test_pattern_finds_cycles_and_leaves_other_files():
    pattern = FilePattern("{datatype}/{period}/{run}/{experiment}-{period}-{run}-{datatype}-{timestamp}.*")
    paths = [
        f"cal/p03/r001/{KEY}.fcio",
        "cal/p03/r001/l200-p03-r001-cal-20230318T022144Z.orca.gz",
        f"cal/p03/r002/{KEY}.fcio",  # directory and name disagree
        f"cal/p03/r001/{KEY}.fcio-truth.lh5",
        "readme.txt",
    ]
    assert {str(key): path for key, path in pattern.find(paths).items()} == {
        KEY: paths[0],
        "l200-p03-r001-cal-20230318T022144Z": paths[1],
    }


def test_pattern_takes_what_names_do_not_say_from_defaults():
    pattern = FilePattern(
        "{timestamp}_run*.fcio", (("experiment", "bench"), ("period", "p00"), ("run", "r000"), ("datatype", "cal"))
    )
    assert str(next(iter(pattern.find(["20240101T000000Z_run7.fcio"])))) == "bench-p00-r000-cal-20240101T000000Z"


def test_pattern_errors_name_fields_and_files():
    with pytest.raises(ConfigError, match=r"fields without a value \['datatype', 'experiment'"):
        FilePattern("{timestamp}.fcio")
    with pytest.raises(ConfigError, match=r"unknown fields \['channel'\]"):
        FilePattern("{channel}-{experiment}-{period}-{run}-{datatype}-{timestamp}")
    pattern = FilePattern("*/{experiment}-{period}-{run}-{datatype}-{timestamp}.fcio")
    with pytest.raises(ConfigError, match="are both the cycle"):
        pattern.find([f"a/{KEY}.fcio", f"b/{KEY}.fcio"])
