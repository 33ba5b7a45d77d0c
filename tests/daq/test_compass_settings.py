import numpy as np
import pytest
from compass_streams import FULL, Compass, event, records

from pygama_core.daq.compass.settings import read_settings, settings_beside
from pygama_core.errors import ConfigError
from pygama_core.sim import compass_writer as cw

N_SAMPLES = 24


@pytest.fixture
def write(tmp_path):
    def write_boards(*boards, name="settings.xml"):
        path = tmp_path / name
        path.write_bytes(cw.settings_xml(boards))
        return path

    return write_boards


def data_file(directory, content=None):
    directory.mkdir(exist_ok=True, parents=True)
    path = directory / "run.BIN"
    path.write_bytes(b"".join(content or records(6)))
    return path


def test_real_settings(testdata):
    (board,) = read_settings(testdata / "compass/compass_test_data_settings.xml")
    assert (board.model, board.serial, board.firmware) == ("DT5730", "1463", "DPP_PSD")
    assert (board.dt, board.n_samples, board.n_channels) == (2.0, 1000, 8)
    assert board.enabled == (0, 1)
    assert board.parameter(0, "SRV_PARAM_CH_INDYN") == "INDYN_2_0_VPP"
    assert board.parameter(5, "SRV_PARAM_CH_PRETRG") == "96.0"
    assert board.parameter(5, "no such parameter") == ""


def test_channel_without_a_value_of_its_own_has_the_boards(write):
    own = {0: {"SRV_PARAM_CH_ENABLED": "false"}, 3: {"SRV_PARAM_CH_ENABLED": "true"}}
    (board,) = read_settings(write(cw.CompassBoard(24, defaults={"SRV_PARAM_CH_ENABLED": "true"}, channels=own)))
    assert board.enabled == (1, 2, 3, 4, 5, 6, 7)
    (board,) = read_settings(write(cw.CompassBoard(24, channels=own)))
    assert board.enabled == (3,)


@pytest.mark.parametrize(
    ("model", "dt"),
    [("DT5730", 2), ("V1725", 4), ("N6724", 10), ("DT2740", 8), ("VX2730", 2), ("V2745", 8), ("V8751", 1)],
)
def test_period_follows_from_the_model_if_it_is_not_told(write, model, dt):
    board = cw.CompassBoard(24, sample_time=None, model=model, n_channels=64, firmware="DPP_PHA")
    (found,) = read_settings(write(board))
    assert found.dt == dt
    assert found.n_channels == 64


def test_period_of_an_unknown_model(write):
    (found,) = read_settings(write(cw.CompassBoard(24, sample_time=None, model="X1")))
    assert np.isnan(found.dt)
    assert np.isnan(found.n_samples)


@pytest.mark.parametrize(
    "place", ["settings.xml", "run_settings.xml", "../settings.xml"], ids=["same", "named", "compass"]
)
def test_settings_are_found_beside_the_file(tmp_path, place):
    daq = data_file(tmp_path / "run_1" / "RAW")
    path = daq.parent / place
    path.write_bytes(cw.settings_xml([cw.CompassBoard(24, sample_time=4000)]))
    assert settings_beside(daq).samefile(path)
    file = Compass(daq)
    assert file.tables[0]["waveform"].array("dt")[0] == 4
    assert file.summary.is_clean


def test_settings_of_the_directory_above_are_compass_s_only(tmp_path):
    daq = data_file(tmp_path / "data")
    (tmp_path / "settings.xml").write_bytes(cw.settings_xml([cw.CompassBoard(24)]))
    assert settings_beside(daq) is None


def test_without_settings_the_period_is_unknown(tmp_path):
    file = Compass(data_file(tmp_path))
    assert np.isnan(file.tables[0]["waveform"].array("dt")).all()
    assert "no settings file found: the sampling period is unknown" in file.summary.notes[0]


def test_every_board_has_its_period(tmp_path, write):
    path = write(cw.CompassBoard(24, sample_time=2000), cw.CompassBoard(24, sample_time=4000), name="two.xml")
    content = [FULL.file_header(), *(cw.record(FULL, event(k, board=k % 3)) for k in range(9))]
    tables = Compass(data_file(tmp_path, content), settings=path).tables
    periods = {key >> 9: set(table["waveform"].array("dt").tolist()) for key, table in tables.items()}
    assert periods[0] == {2.0}
    assert periods[1] == {4.0}
    assert np.isnan(list(periods[2])).all()


def test_enabled_channels_without_records_have_empty_tables(tmp_path, write):
    path = write(cw.CompassBoard(24, channels={6: {"SRV_PARAM_CH_ENABLED": "true"}}), name="a.xml")
    table = Compass(data_file(tmp_path), settings=path).tables[6]
    assert table.n_rows == 0
    assert table["waveform"].array("values").shape == (0, 24)


def test_settings_of_another_run_are_noticed(tmp_path, write):
    path = write(cw.CompassBoard(50, channels={0: {"SRV_PARAM_CH_ENABLED": "true"}}), name="a.xml")
    notes = Compass(data_file(tmp_path), settings=path).summary.notes
    assert notes == ("channel 0: waveforms have 24 samples, the settings announce 50; do they belong to this file?",)


def test_unreadable_settings(tmp_path):
    for content in (b"", b"no xml", b"<configuration><board>", b"<?xml version='1.0' encoding='klingon'?><a/>"):
        (tmp_path / "settings.xml").write_bytes(content)
        with pytest.raises(ConfigError, match=r"settings.xml: cannot read CoMPASS settings: "):
            read_settings(tmp_path / "settings.xml")
    with pytest.raises(ConfigError, match=r"cannot read CoMPASS settings: .*No such file"):
        read_settings(tmp_path / "missing.xml")
    file = Compass(data_file(tmp_path))  # found by its place only: told, not fatal
    assert "cannot read CoMPASS settings" in file.summary.notes[0]
    assert len(file.rows) == 6


def test_settings_without_a_board(tmp_path):
    (tmp_path / "a.xml").write_bytes(b"<configuration/>")
    with pytest.raises(ConfigError, match=r"no element <board> below <configuration>"):
        read_settings(tmp_path / "a.xml")


@pytest.mark.parametrize("value", ["1e999", "nan", "-5", "much", "1e30", ""])
def test_impossible_numbers(tmp_path, value):
    xml = cw.settings_xml([cw.CompassBoard(24, defaults={"SRV_PARAM_RECLEN": value})])
    xml = xml.replace(b"<channelCount>8", b"<channelCount>" + value.encode())
    (tmp_path / "a.xml").write_bytes(xml.replace(b"<index>3", b"<index>" + value.encode()))
    (board,) = read_settings(tmp_path / "a.xml")
    assert board.n_channels == 8
    assert len(Compass(data_file(tmp_path), settings=tmp_path / "a.xml").rows) == 6
