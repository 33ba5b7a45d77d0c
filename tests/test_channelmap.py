import pytest

from pygama_core.channelmap import ChannelMap
from pygama_core.errors import ConfigError


@pytest.fixture
def channelmap(tmp_path):
    path = tmp_path / "map.yaml"
    path.write_text("V01: {rawid: 1104000, system: geds}\nS01: {rawid: 52, system: spms}\n")
    return ChannelMap.read(path)


def test_names_groups_and_tables(channelmap):
    assert channelmap.names == {1104000: "V01", 52: "S01"}
    assert channelmap.groups() == {"geds": [1104000], "spms": [52]}
    assert channelmap.name("ch0000052") == "S01"
    assert channelmap.name("ch0000053") == "ch0000053"
    assert channelmap.by_table({"V01": 1, "other": 2}) == {"ch1104000": 1, "other": 2}
    assert channelmap.select(["ch1104000", "ch0000052", "ch0000053"], ["spms"]) == ["ch0000052"]


def test_configs_by_system_with_a_default_for_the_rest(channelmap):
    assert channelmap.configs({"geds": "g.yaml", "default": "d.yaml"}) == {"ch1104000": "g.yaml", "*": "d.yaml"}
    with pytest.raises(ConfigError, match="systems muon, of which the channel map has no channel"):
        channelmap.configs({"muon": "m.yaml"})


def test_without_a_map_all_channels_are_the_default_system():
    empty = ChannelMap.read(None)
    assert empty.groups([3, 1]) == {"default": [1, 3]}
    assert empty.configs({"default": "d.yaml"}) == {"*": "d.yaml"}
    assert empty.select(["ch2", "ch1"], ["geds"]) == ["ch1", "ch2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("V01: {rawid: 1}", "V01: found .* expected the keys rawid, system"),
        ("V01: {rawid: 1, system: geds, x: 1}", "expected the keys rawid, system"),
        ("V01: {rawid: -1, system: geds}", "rawid -1 is not a whole number"),
        ("{A: {rawid: 1, system: g}, B: {rawid: 1, system: g}}", "B and A both have the rawid 1"),
        ("[1]", "map.yaml"),
        ("{", "map.yaml"),
    ],
)
def test_wrong_maps_are_named(tmp_path, text, message):
    (tmp_path / "map.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        ChannelMap.read(tmp_path / "map.yaml")
