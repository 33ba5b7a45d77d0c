"""The commands that read and write DAQ files, as a user calls them."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent / "daq"))
from compass_streams import FORMATS, records
from daq_streams import fcio_messages
from llama_streams import CHANNELS, events

from pygama_core import lh5
from pygama_core.cli import main
from pygama_core.sim import llama_writer as lw
from pygama_core.sim.compass_writer import CompassBoard, settings_xml

CHANNELMAP = """\
V01: {rawid: 1104000, system: geds}
V02: {rawid: 1104001, system: geds}
"""


@pytest.fixture
def files(tmp_path):
    """Return the paths of a DAQ file of 12 events and of the raw file to write."""
    daq = tmp_path / "cycle.fcio"
    daq.write_bytes(b"".join(fcio_messages(12)))
    return str(daq), str(tmp_path / "raw.lh5")


def test_the_account_is_printed(files, capsys):
    assert main(["daq-to-raw", *files]) == 0
    printed = capsys.readouterr()
    assert "cycle.fcio (fcio," in printed.out
    assert printed.err == ""
    assert lh5.read(files[1], "ch1104001/raw").n_rows == 12


def test_parts_of_a_file(files, tmp_path, capsys):
    channelmap = tmp_path / "map.yaml"
    channelmap.write_text(CHANNELMAP)
    options = ["--channelmap", str(channelmap), "--channels", "V02, 1104000", "--packets", "3:8"]
    assert main(["daq-to-raw", *files, *options]) == 0
    assert lh5.ls(files[1], "ch*") == ["ch1104000", "ch1104001"]
    assert lh5.read(files[1], "raw/V02").array("packet_id").tolist() == [3, 4, 5, 6, 7]
    assert main(["daq-to-raw", *files, "--n-max", "2"]) == 0
    assert lh5.read(files[1], "ch1104000/raw").n_rows == 2


def test_waveforms_in_a_codec(files, capsys):
    assert main(["daq-to-raw", *files]) == 0
    plain = lh5.read(files[1], "ch1104000/raw/waveform/values")
    assert main(["daq-to-raw", *files, "--codec", "uleb128_zigzag_diff"]) == 0
    stored = lh5.read(files[1], "ch1104000/raw/waveform/values", decode=False)
    assert isinstance(stored, lh5.EncodedArray)
    decoded = lh5.read(files[1], "ch1104000/raw/waveform/values")
    assert decoded.values.dtype == plain.values.dtype
    np.testing.assert_array_equal(decoded.values, plain.values)
    capsys.readouterr()
    assert main(["daq-to-raw", *files, "--codec", "mp3"]) == 1
    assert "mp3" in capsys.readouterr().err


def test_an_absent_channel_is_an_error_and_with_a_part_a_warning(files, capsys):
    assert main(["daq-to-raw", *files, "--channels", "5"]) == 1
    assert "channel 5 is selected and not in cycle.fcio" in capsys.readouterr().err
    assert not Path(files[1]).exists()
    assert main(["daq-to-raw", *files, "--channels", "5,1104000", "--n-max", "3"]) == 0
    assert "warning: channel 5 is selected" in capsys.readouterr().err


def test_output_specification_with_keywords(files, tmp_path):
    spec = tmp_path / "spec.yaml"
    entry = {"key_list": [1104000], "out_stream": f"{tmp_path}/{{run}}.lh5"}
    spec.write_text(json.dumps({"FCEventDecoder": {"{run}_{key}/raw": entry}}))
    assert main(["daq-to-raw", *files, "--out-spec", str(spec), "--keyword", "run=r007"]) == 0
    assert lh5.read(tmp_path / "r007.lh5", "r007_1104000/raw").n_rows == 12


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--keyword", "run"], "--keyword 'run': expected NAME=VALUE"),
        (["--channels", "V99"], "--channels: 'V99' is neither a number nor a name"),
        (["--packets", "8:3"], "records 8:3 is empty"),
        (["--idle", "3"], "--idle: only with --follow"),
        (["--llama-time-zone", "UTC"], "option 'time_zone' is not one of format fcio; it has none"),
        (["--format", "fc"], "unknown DAQ format 'fc'; known formats: compass, fcio, llama, orca"),
    ],
)
def test_wrong_options_are_named(files, capsys, options, text):
    assert main(["daq-to-raw", *files, *options]) == 1
    assert text in capsys.readouterr().err
    assert not Path(files[1]).exists()


def test_strict_turns_loss_into_an_error_and_keeps_the_rest(files, capsys):
    assert main(["daq-to-raw", *files, "--strict"]) == 0
    content = Path(files[0]).read_bytes()
    Path(files[0]).write_bytes(content[:-5])
    assert main(["daq-to-raw", *files]) == 0
    assert main(["daq-to-raw", *files, "--strict"]) == 1
    error = capsys.readouterr().err
    assert "bytes are an incomplete record" in error
    assert "raw.lh5 holds everything else" in error
    assert lh5.read(files[1], "ch1104000/raw").n_rows == 11


def test_strict_counts_damage_and_records_without_a_table(files, capsys):
    content = bytearray(Path(files[0]).read_bytes())
    middle = len(content) // 2
    content[middle : middle + 300] = bytes(300)
    unknown = (-99).to_bytes(4, "little", signed=True) + (4).to_bytes(4, "little") + b"abcd"
    Path(files[0]).write_bytes(bytes(content) + unknown)
    assert main(["daq-to-raw", *files, "--strict"]) == 1
    error = capsys.readouterr().err
    assert "damaged places of" in error
    assert "1 records unknown tag 99 have no table" in error
    assert lh5.read(files[1], "daq_summary/not_converted")["unknown_tag_99"].value == 1


def test_progress_is_drawn_when_asked_for(files, capsys):
    assert main(["daq-to-raw", *files, "--progress"]) == 0
    assert "cycle.fcio" in capsys.readouterr().err
    assert main(["daq-to-raw", *files, "--no-progress"]) == 0
    assert capsys.readouterr().err == ""


def test_following_a_growing_file(files):
    content = Path(files[0]).read_bytes()
    half = len(content) // 2
    Path(files[0]).write_bytes(content[:half])

    def grow():
        time.sleep(0.3)
        with Path(files[0]).open("ab") as file:
            file.write(content[half:])

    writer = threading.Thread(target=grow)
    writer.start()
    assert main(["daq-to-raw", *files, "--follow", "--idle", "1.5"]) == 0
    writer.join()
    assert lh5.read(files[1], "ch1104000/raw").n_rows == 12


def test_compass_settings_and_layout(tmp_path):
    daq, raw, settings = tmp_path / "data.bin", tmp_path / "raw.lh5", tmp_path / "elsewhere.xml"
    daq.write_bytes(b"".join(records(12, FORMATS["v1-psd"])))
    settings.write_bytes(settings_xml([CompassBoard(n_samples=8, sample_time=4000)]))
    options = ["--compass-settings", str(settings), "--compass-layout", "v1-psd"]
    assert main(["daq-to-raw", str(daq), str(raw), *options]) == 0
    table = lh5.read(raw, next(name for name in lh5.ls(raw, "ch*/raw") if lh5.read(raw, name).n_rows))
    assert set(table["waveform"].array("dt")) == {np.float32(4)}


def test_time_zone_of_llama_files(tmp_path):
    daq, raw = tmp_path / "20240701-120000-x.bin", tmp_path / "raw.lh5"
    daq.write_bytes(lw.llama_file(CHANNELS, events(6)))
    times = []
    for zone in ("UTC", "Europe/Berlin"):
        assert main(["daq-to-raw", str(daq), str(raw), "--llama-time-zone", zone]) == 0
        times.append(lh5.read(raw, "extra/LLAMAHeader")["initial_timestamp"].value)
    assert times[0] - times[1] == 7200


@pytest.mark.parametrize("name", ["fcio", "orca"])
def test_a_format_loads_no_other_ones_decoder(tmp_path, testdata, name):
    paths = {"fcio": "fcio/th228.fcio", "orca": "orca/fc/L200-comm-20220519-phy-geds.orca"}
    code = "import sys; from pygama_core.daq.daqfile import open_daq; open_daq(sys.argv[1]); print(*sys.modules)"
    command = [sys.executable, "-c", code, str(testdata / paths[name])]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert f"pygama_core.daq.{name}.reader" in loaded
    others = {"fcio", "orca", "compass", "llama"} - {name}
    assert not {f"pygama_core.daq.{other}.reader" for other in others} & set(loaded)
    assert "pygama_core.daq.compass.records" not in loaded
