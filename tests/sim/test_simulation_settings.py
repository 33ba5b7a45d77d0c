from pathlib import Path

import pytest
import yaml

from pygama_core.channelmap import Channel
from pygama_core.errors import ConfigError
from pygama_core.filekey import CycleKey
from pygama_core.sim.layout import check_channels, make_layout
from pygama_core.sim.settings import SimulationSettings, daq_keys, find_cycle, load_channelmap, load_settings

CONFIG = Path(__file__).resolve().parents[2] / "config"


def test_every_setting_is_described():
    def properties(schema):
        if isinstance(schema, dict):
            yield from (schema.get("properties") or {}).items()
            for value in schema.values():
                yield from properties(value)
        elif isinstance(schema, list):
            for value in schema:
                yield from properties(value)

    found = dict(properties(SimulationSettings.model_json_schema()))
    assert len(found) > 40
    assert [name for name, schema in found.items() if "description" not in schema] == []


def test_demo_experiment(settings, channels):
    check_channels(settings, channels)
    keys = daq_keys(settings)
    assert len(keys) == 10
    key = "demo-p01-r001-cal-20260101T000000Z"
    assert keys[key] == f"cal/p01/r001/{key}.fcio"
    assert keys["demo-p01-r002-phy-20260108T010000Z"].endswith(".orca")
    for key, path in keys.items():
        parsed = CycleKey.parse(key)
        assert path.startswith(f"{parsed.run_key.directory}/{key}.")
        assert find_cycle(settings, key)[1] == parsed.timestamp


def test_absent_channel_is_not_in_the_layout(settings, channels):
    run, timestamp = find_cycle(settings, "demo-p01-r002-cal-20260108T001000Z")
    layout = make_layout(settings, channels, run, timestamp)
    assert "V05" not in layout.names
    assert len(layout.names) == 8
    assert list(layout.rawids) == sorted(layout.rawids)
    assert layout.electronics["gain"][0] == pytest.approx(8.0 * 1.0012)


def test_unknown_key(settings):
    with pytest.raises(ConfigError, match="no cycle 'demo-p09-r001-cal-20260101T000000Z'; the settings have 10"):
        find_cycle(settings, "demo-p09-r001-cal-20260101T000000Z")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sead": 1}, "sead: Extra inputs"),
        ({"trigger_sample": 5000}, "lies outside of 4096 samples"),
        ({"sources": {}}, r"runs\[0\].source: 'th228' is not one of"),
        ({"pulser_energy": -1}, "pulser_energy: Input should be greater than 0"),
    ],
)
def test_wrong_setting_names_file_and_key(tmp_path, change, message):
    content = yaml.safe_load((CONFIG / "simulation.yaml").read_text()) | change
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=f"wrong.yaml: .*{message}"):
        load_settings(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gain_factors": {"V99": 1.0}}, "no channel is called V99"),
        ({"absent": {"20260101T000000Z": ["S77"]}}, "no channel is called S77"),
        ({"absent": {"20270101T000000Z": ["V01"]}}, "20270101T000000Z is not one of the run's cycles"),
    ],
)
def test_wrong_run(tmp_path, change, message):
    content = yaml.safe_load((CONFIG / "simulation.yaml").read_text())
    content["runs"][0] |= change
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=message):
        load_settings(path)


@pytest.mark.parametrize(
    ("text", "message"), [("- 1", "holds list"), ("a: [", "not valid YAML"), (None, "cannot be read")]
)
def test_unreadable_settings(tmp_path, text, message):
    path = tmp_path / "wrong.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_settings(path)


def test_channel_map_must_name_the_same_channels(settings, channels):
    fewer = {name: channel for name, channel in channels.items() if name != "S02"}
    with pytest.raises(ConfigError, match=r"system spms: .*differing: S02"):
        check_channels(settings, fewer)


def test_channel_map_must_have_one_stream(settings, channels):
    moved = dict(channels, V01=Channel("V01", 2104000, "geds"))
    with pytest.raises(ConfigError, match=r"rawids of 2 streams \[1, 2\]"):
        check_channels(settings, moved)


def test_load_channelmap(channels):
    assert channels["V01"] == Channel("V01", 1104000, "geds")
    assert load_channelmap(CONFIG / "channelmap.yaml") == channels
