import pytest

from pygama_core.errors import ParameterError
from pygama_core.par.validity import ValidityCatalog, check_timestamp

T1, T2, T3, T4 = (f"2023010{day}T000000Z" for day in (1, 2, 3, 4))


def catalog(tmp_path, text):
    path = tmp_path / "validity.yaml"
    path.write_text(text)
    return ValidityCatalog.read(path)


def entry(time, apply, **more):
    return f"- {{valid_from: {time}, apply: {apply}{''.join(f', {key}: {value}' for key, value in more.items())}}}\n"


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ({"apply": "c.yaml"}, ("a.yaml", "b.yaml", "c.yaml")),
        ({"apply": "[c.yaml, d.yaml]", "mode": "append"}, ("a.yaml", "b.yaml", "c.yaml", "d.yaml")),
        ({"apply": "[c.yaml]", "mode": "reset"}, ("c.yaml",)),
        ({"apply": "a.yaml", "mode": "remove"}, ("b.yaml",)),
        ({"apply": "[a.yaml, c.yaml]", "mode": "replace"}, ("b.yaml", "c.yaml")),
    ],
)
def test_modes(tmp_path, second, expected):
    found = catalog(tmp_path, entry(T1, "[a.yaml, b.yaml]") + entry(T2, **second))
    assert found.names_on(T1) == ("a.yaml", "b.yaml")
    assert found.names_on("20230101T235959Z") == ("a.yaml", "b.yaml")
    assert found.names_on(T2) == expected
    assert found.names_on("29990101T000000Z") == expected
    assert found.files_on(T2) == tuple(tmp_path / name for name in expected)


def test_entries_count_in_order_of_time_and_disorder_is_reported(tmp_path):
    found = catalog(tmp_path, entry(T2, "b.yaml") + entry(T1, "a.yaml"))
    assert found.names_on(T3) == ("a.yaml", "b.yaml")
    (tmp_path / "b.yaml").touch()
    missing, disorder = found.problems()
    assert "a.yaml does not exist" in missing
    assert f"entry 2 ({T1}) is earlier" in disorder


def test_the_first_entry_of_a_category_resets_whatever_its_mode(tmp_path):
    found = catalog(tmp_path, entry(T1, "[a.yaml, b.yaml]", mode="replace") + entry(T2, "c.yaml"))
    assert found.names_on(T1) == ("a.yaml", "b.yaml")
    assert found.names_on(T2) == ("a.yaml", "b.yaml", "c.yaml")


def test_categories_have_histories_of_their_own_and_fall_back_to_all(tmp_path):
    found = catalog(
        tmp_path,
        entry(T1, "a.yaml") + entry(T2, "c.yaml", category="cal") + entry(T3, "d.yaml", category="[all, cal]"),
    )
    assert found.names_on(T1, "cal") == ("a.yaml",)  # before its first entry
    assert found.names_on(T2, "cal") == ("c.yaml",)  # does not start from all
    assert found.names_on(T3, "cal") == ("c.yaml", "d.yaml")
    assert found.names_on(T3, "phy") == found.names_on(T3) == ("a.yaml", "d.yaml")


def test_system_is_the_older_name_of_category(tmp_path):
    found = catalog(tmp_path, entry(T1, "a.yaml", system="cal"))
    assert found.names_on(T1, "cal") == ("a.yaml",)
    assert found.names_on(T1, "phy") is None


def test_two_categories_may_share_a_timestamp(tmp_path):
    found = catalog(tmp_path, entry(T1, "a.yaml") + entry(T1, "b.yaml", category="cal"))
    assert found.names_on(T1, "cal") == ("b.yaml",)


def test_before_the_first_entry(tmp_path):
    found = catalog(tmp_path, entry(T2, "a.yaml"))
    assert found.names_on(T1) is None
    with pytest.raises(ParameterError, match=f"nothing is valid at {T1} for category phy; the first entry starts {T2}"):
        found.files_on(T1, "phy")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{a: 1}", "got dict, expected a list"),
        ("- 3", "expected a mapping with at least valid_from and apply"),
        ("- {valid_from: 20230101T000000Z}", "expected a mapping with at least"),
        (entry(T1, "a.yaml", vaild="x"), "entry 1: unknown keys vaild; known are"),
        (entry(T1, "a.yaml", mode="drop"), "mode is 'drop', expected one of append, reset"),
        (entry(T1, "3"), "apply: got 3, expected a text"),
        (entry(T1, "a.yaml", category="{a: b}"), "category: got"),
        (entry("20230101", "a.yaml"), "valid_from: got 20230101, expected a text YYYYMMDDTHHMMSSZ"),
        (entry("20231301T000000Z", "a.yaml"), "is no existing time"),
        (entry(T1, "a.yaml") + entry(T1, "b.yaml"), "two entries have this timestamp; write one entry"),
        (entry(T1, "a.yaml") + entry(T2, "b.yaml", mode="remove"), "mode remove names b.yaml, not valid before"),
        (entry(T1, "a.yaml") + entry(T2, "[b.yaml, c.yaml]", mode="replace"), "mode replace names b.yaml"),
        (entry(T1, "a.yaml") + entry(T2, "a.yaml", mode="replace"), "has 1 files, expected exactly two"),
        ("- [", "not valid YAML"),
    ],
)
def test_damaged_catalogues(tmp_path, text, message):
    with pytest.raises(ParameterError, match=message):
        catalog(tmp_path, text)


def test_missing_catalogue(tmp_path):
    with pytest.raises(ParameterError, match=r"validity.yaml: cannot be read"):
        ValidityCatalog.read(tmp_path / "validity.yaml")


def test_lookup_with_a_bad_timestamp(tmp_path):
    with pytest.raises(ParameterError, match="look-up: got '2023', expected"):
        catalog(tmp_path, entry(T1, "a.yaml")).names_on("2023")
    assert check_timestamp("20240229T235959Z") == "20240229T235959Z"


def test_writing_keeps_order_mode_and_category(tmp_path):
    text = entry(T2, "[z.yaml, a.yaml]", mode="append", category="[cal, phy]") + entry(T1, "b.yaml", category="cal")
    before = catalog(tmp_path, text)
    before.write(tmp_path / "out" / "validity.yaml")
    after = ValidityCatalog.read(tmp_path / "out")
    assert after.histories == before.histories
    assert after.names_on(T2, "cal") == ("b.yaml", "z.yaml", "a.yaml")
    assert [item.name for item in (tmp_path / "out").iterdir()] == ["validity.yaml"]


def test_generated_catalogue(tmp_path):
    found = ValidityCatalog.from_runs({T3: ["cal/r001.yaml"], T1: ["cal/r000.yaml"]}, tmp_path)
    assert found.names_on(T2, "phy") == ("cal/r000.yaml",)
    assert found.names_on(T3) == ("cal/r001.yaml",)
    found.write(tmp_path / "validity.yaml")
    first = (tmp_path / "validity.yaml").read_bytes()
    assert ValidityCatalog.read(tmp_path).entries == found.entries
    found.write(tmp_path / "validity.yaml")
    assert (tmp_path / "validity.yaml").read_bytes() == first


def test_public_channel_maps(testdata):
    found = ValidityCatalog.read(testdata / "legend/metadata/hardware/configuration/channelmaps")
    p02, p02_cal = "l200-p02-r%-T%-all-config.yaml", "l200-p02-r%-T%-cal-config.yaml"
    r006, r009 = "l200-p02-r006-T%-all-config.yaml", "l200-p02-r009-T%-all-config.yaml"
    # the category cal starts with a "replace", which acts as reset; then all that is appended
    assert found.names_on("20220601T000000Z", "cal") == (r006, r009, p02, p02_cal, r006)
    assert found.names_on("20230310T000000Z", "cal") == ("l200-p03-r%-T%-all-config.yaml",)
    assert found.names_on("20250702T000000Z", "phy") == ("l200-p15-r%-T%-all-config.yaml",)
    assert all("is earlier than the one before" in text for text in found.problems())
