"""The same simulated cycle in every format: read back, it is what the truth says, trace by trace."""

import gzip

import numpy as np
import pytest

from pygama_core import lh5
from pygama_core.channelmap import ChannelMap
from pygama_core.cli import main
from pygama_core.daq.daqfile import open_daq
from pygama_core.errors import ConfigError
from pygama_core.lh5.types import Table
from pygama_core.sim.digitizers import CARDS, numbered
from pygama_core.sim.experiment import blocks, prepare, simulate_cycle
from pygama_core.sim.settings import DaqFormat

KEY = "demo-p01-r001-cal-20260101T000000Z"
FLASHCAM = ("fcio", "orca-flashcam", "orca-fcio")
ENERGY = {"fcio": "daqenergy", "orca-flashcam": "daqenergy", "orca-fcio": "daqenergy"}
ENERGY |= {"llama": "max_energy", "llama-v1": "max_energy"}
TICKS = {"orca-sis3302": 10, "orca-sis3316": 8, "orca-gretina": 10}  # [ns]


@pytest.fixture(scope="module")
def short(settings):
    """The demo experiment with 25 events of 2,200 samples in each cycle."""
    runs = [run.model_copy(update={"events": 25}) for run in settings.runs]
    return settings.model_copy(update={"runs": runs, "n_samples": 2200, "trigger_sample": 1100})


def rows_of(path):
    """Return every row of the channels of a file as (rawid, time or ticks, energy, samples)."""
    daq, rows = open_daq(path), []
    for block in daq.blocks():
        if isinstance(block.key, int) and isinstance(block.table, Table) and block.table.n_rows:
            rows.append((block.key, block.table))
    assert daq.summary.is_lossless
    assert daq.summary.not_converted == {}
    return rows


def waveform(table):
    return table["waveform_windowed" if "waveform_windowed" in table else "waveform"]


def made(settings, channels, format):
    """Return rawid, trigger time [ns], energy and samples of every trace that the simulation wrote."""
    experiment = prepare(settings, channels, KEY, format)
    timeline, rawids = experiment.cycle.timeline, experiment.cycle.layout.rawids
    found = []
    for block in blocks(experiment):
        for event, index, words in zip(block.traces.event, block.traces.channel, block.digitised.words, strict=True):
            if not timeline.is_discarded[event]:
                found.append((int(rawids[index]), int(timeline.trigger_time[event]), int(words[1]), words[2:]))
    return found


def clock(format, table):
    """Return the trigger times of a table, integers on the clock of the format [ns]."""
    if format in FLASHCAM:
        return table.array("ts_pps").astype(np.int64) * 10**9 + 4 * table.array("ts_ticks").astype(np.int64)
    if format.startswith("compass"):
        return (table.array("timestamp_ps") // 1000).astype(np.int64)
    if format.startswith("llama"):
        return np.rint(1e9 * table.array("time_since_run_start")).astype(np.int64)
    return table.array("timestamp").astype(np.int64) * TICKS[format]


@pytest.mark.parametrize("format", DaqFormat.__args__)
def test_what_is_read_is_what_was_digitised(short, channels, tmp_path, format):
    path = tmp_path / f"{KEY}.daq"
    written = simulate_cycle(short, channels, KEY, path, tmp_path / "truth.lh5", format=format)
    expected = made(short, channels, format)
    truth = lh5.read(tmp_path / "truth.lh5", "truth/traces")
    assert {channel.rawid for channel in written.values()} >= set(truth.array("rawid").tolist())
    n_rows = 0
    for rawid, table in rows_of(path):
        of_channel = [row for row in expected if row[0] == rawid]
        n_rows += table.n_rows
        tick = TICKS.get(format, 1)
        np.testing.assert_array_equal(clock(format, table), [row[1] // tick * tick for row in of_channel])
        np.testing.assert_array_equal(table.array(ENERGY.get(format, "energy")), [row[2] for row in of_channel])
        samples = np.stack([row[3] for row in of_channel]).astype(np.int64)
        if format == "orca-gretina":
            samples = samples[:, 100 : 100 + 2018] - (1 << 15)
        np.testing.assert_array_equal(waveform(table).array("values"), samples)
    assert n_rows == len(expected) > 20


@pytest.mark.parametrize("format", ["compass", "llama"])
def test_the_files_tell_the_sampling_period(short, channels, tmp_path, format):
    path = tmp_path / f"{KEY}.bin"
    simulate_cycle(short, channels, KEY, path, format=format)
    for _, table in rows_of(path):
        assert set(waveform(table).array("dt")) == {np.float32(16)}


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".zst"])
def test_compressed_files_hold_the_same_and_do_not_change(short, channels, tmp_path, suffix):
    plain = tmp_path / "plain.fcio"
    simulate_cycle(short, channels, KEY, plain)
    contents = []
    for name in ("a", "b"):
        path = tmp_path / f"{name}.fcio{suffix}"
        simulate_cycle(short, channels, KEY, path)
        contents.append(path.read_bytes())
    assert contents[0] == contents[1]
    assert len(contents[0]) < plain.stat().st_size
    assert open_daq(path).source.data.tobytes() == plain.read_bytes()


def test_channels_are_numbered_in_the_order_of_the_map(channels):
    ordered = sorted(channels.values(), key=lambda channel: channel.rawid)
    for format, cards in CARDS.items():
        found = numbered(channels, format)
        assert [found[channel.name].rawid for channel in ordered] == [cards.rawid(i) for i in range(len(ordered))]
        assert [cards.place(cards.rawid(i))[1] for i in range(40)] == [i % cards.n_inputs for i in range(40)]
    assert numbered(channels, "fcio") == channels


def test_what_a_format_cannot_hold_is_an_error(short, channels, tmp_path):
    path = tmp_path / "x"
    with pytest.raises(ConfigError, match=r"unknown format 'midas'; known: fcio, .*llama-v1"):
        simulate_cycle(short, channels, KEY, path, format="midas")
    odd = short.model_copy(update={"n_samples": 2201})
    with pytest.raises(ConfigError, match="2201 is odd; llama files hold pairs"):
        simulate_cycle(odd, channels, KEY, path, format="llama")
    few = short.model_copy(update={"n_samples": 1200})
    with pytest.raises(ConfigError, match="n_samples: 1200; a GRETINA4M card records 2018"):
        simulate_cycle(few, channels, KEY, path, format="orca-gretina")
    channel = next(iter(channels.values()))
    with pytest.raises(ConfigError, match="300 channels; the cards of format llama have 256 inputs"):
        numbered({str(k): channel for k in range(300)}, "llama")
    assert not path.exists()


def test_the_command_writes_any_format_and_its_channel_map(tmp_path, repository):
    config, daq, raw = repository / "config", tmp_path / f"{KEY}.bin.gz", tmp_path / "raw.lh5"
    settings = (config / "simulation.yaml").read_text().replace("events: 15000", "events: 20")
    (tmp_path / "settings.yaml").write_text(settings)
    options = ["--channelmap", str(config / "channelmap.yaml"), "--key", KEY, "--daq", str(daq), "--format", "compass"]
    new_map = tmp_path / "map.yaml"
    assert main(["simulate", str(tmp_path / "settings.yaml"), *options, "--write-channelmap", str(new_map)]) == 0
    gzip.decompress(daq.read_bytes())
    assert main(["daq-to-raw", str(daq), str(raw), "--channelmap", str(new_map), "--strict"]) == 0
    names = set(ChannelMap.read(new_map).names.values())
    assert names == set(ChannelMap.read(config / "channelmap.yaml").names.values())
    assert set(lh5.ls(raw, "raw/*")) == {f"raw/{name}" for name in names}
