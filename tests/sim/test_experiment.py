"""Whole cycles: the files are walked frame by frame here and compared with the truth."""

import itertools
import plistlib
import struct

import numpy as np
import pytest

from pygama_core import lh5
from pygama_core.errors import ConfigError
from pygama_core.sim import experiment as experiment_module
from pygama_core.sim.experiment import prepare, read_out, simulate_cycle
from pygama_core.sim.settings import daq_keys
from pygama_core.sim.timeline import FORCED, PHYSICS, PULSER

CAL_FCIO = "demo-p01-r001-cal-20260101T000000Z"
PHY_FCIO = "demo-p01-r001-phy-20260101T010000Z"
CAL_ORCA = "demo-p01-r002-cal-20260108T001000Z"
PHY_ORCA = "demo-p01-r002-phy-20260108T010000Z"
DEAD_TIME_NS = 20_000_000


@pytest.fixture(scope="module")
def cycles(small, channels, tmp_path_factory):
    """One cycle of each kind: key -> (DAQ file, truth file)."""
    directory = tmp_path_factory.mktemp("cycles")
    files = {}
    for key in (CAL_FCIO, PHY_FCIO, CAL_ORCA, PHY_ORCA):
        daq = directory / daq_keys(small)[key]
        truth = daq.parent / f"{key}-truth.lh5"
        simulate_cycle(small, channels, key, daq, truth)
        files[key] = (daq, truth)
    return files


def column(path, table, name):
    return lh5.read(path, f"truth/{table}").array(name)


def fcio_messages(stream):
    """Yield tag and frames of each message of an FCIO stream; zero padding behind the last one is ignored."""
    at, tag, frames = 0, None, []
    while at + 4 <= len(stream):
        (word,) = struct.unpack_from("<i", stream, at)
        at += 4
        if word == -1000000001:
            assert stream[at : at + 10] == b"FlashCamV1"
            at += 64
        elif word < 0:
            if tag is not None:
                yield tag, frames
            tag, frames = -word, []
        elif word > 0:
            frames.append(stream[at : at + word])
            at += word
    yield tag, frames


def orca_packets(content):
    """Return header property list and (data id, words) of each packet."""
    length, xml = struct.unpack_from("<2I", content)
    at, found = 4 * length, []
    while at < len(content):
        first, second = struct.unpack_from("<2I", content, at)
        size = 4 * ((first & 0x3FFFF) or second)
        found.append((first >> 18, content[at : at + size]))
        at += size
    assert at == len(content)
    return plistlib.loads(content[8 : 8 + xml]), found


def test_sparse_fcio_file(cycles, small):
    daq, truth = cycles[CAL_FCIO]
    messages = list(fcio_messages(daq.read_bytes()))
    assert [tag for tag, _ in messages] == [1] + [6] * 300 + [4]
    config = messages[0][1]
    assert len(config) == 12
    tracemap = np.frombuffer(config[10], "<u4")
    rawids = 1_000_000 * struct.unpack("<i", config[11])[0] + 100 * (tracemap >> 16) + (tracemap & 0xFFFF)
    pairs = []
    for number, (_, frames) in enumerate(messages[1:-1]):
        indices = np.frombuffer(frames[6], "<u2")
        assert struct.unpack("<i", frames[5]) == (len(indices),)
        assert [len(f) for f in frames[7:]] == [2 * (4096 + 2)] * len(indices)
        pairs += [(number, int(rawid)) for rawid in rawids[indices]]
    assert pairs == list(zip(column(truth, "traces", "event"), column(truth, "traces", "rawid"), strict=True))


def test_full_fcio_file(cycles):
    daq, truth = cycles[PHY_FCIO]
    messages = list(fcio_messages(daq.read_bytes()))
    discarded = column(truth, "events", "is_discarded")
    assert [tag for tag, _ in messages[1:-1]] == list(np.where(discarded, 7, 3))
    assert {len(frames[4]) for tag, frames in messages if tag == 3} == {9 * 2 * (4096 + 2)}


@pytest.mark.parametrize("key", [CAL_FCIO, PHY_FCIO])
def test_fcio_unix_time_without_gps(cycles, key):
    daq, truth = cycles[key]
    times = []
    for tag, frames in fcio_messages(daq.read_bytes()):
        if tag in (3, 6, 7):
            offset, stamp = (np.frombuffer(f, "<i4").astype(np.int64) for f in frames[2:4])
            times.append(10**9 * (offset[0] + stamp[1]) + 1000 * offset[1] + 4 * stamp[2])
    assert times == list(column(truth, "events", "timestamp_ns"))
    assert all(b > a for a, b in itertools.pairwise(times))


def test_orca_waveform_records(cycles):
    daq, truth = cycles[CAL_ORCA]
    header, packets = orca_packets(daq.read_bytes())
    assert {i for i, _ in packets} == {3, 4, 10}
    assert [struct.unpack_from("<I", p, 4)[0] for i, p in packets if i == 3] == [0x21, 0x08, 0x00]
    addresses = {
        (crate["CrateNumber"], card["Card"]): card["CardAddress"]
        for crate in header["ObjectInfo"]["Crates"]
        for card in crate["Cards"]
    }
    rawids, times = [], []
    for _, packet in (p for p in packets if p[0] == 10):
        words = np.frombuffer(packet, "<u4").astype(np.int64)
        assert words[1] == 3 << 28 | 17 << 22 | 4096 << 6 | 1
        assert len(words) == 20 + 2048
        place = words[2]
        address = addresses[place >> 27, place >> 22 & 31]
        assert place >> 14 & 0xFF == address >> 4 & 0xFF
        rawids.append(1_000_000 + 100 * address + (place >> 10 & 15))
        times.append(10**9 * (words[5] + words[16]) + 4 * words[17])  # offset to the master: gps
    assert rawids == list(column(truth, "traces", "rawid"))
    expected = column(truth, "events", "timestamp_ns")[column(truth, "traces", "event")]
    assert times == list(expected)
    assert 1104004 not in rawids  # V05 is switched off in this cycle
    assert header["ObjectInfo"]["Crates"][0]["Cards"][0]["Enabled"] == [True] * 4 + [False] * 2


def test_fcio_in_orca(cycles):
    daq, truth = cycles[PHY_ORCA]
    _, packets = orca_packets(daq.read_bytes())
    discarded = column(truth, "events", "is_discarded")
    assert [i for i, _ in packets] == [3, 3, 6, *np.where(discarded, 8, 7), 9, 3]
    assert discarded.any()
    for _, packet in packets[2:-1]:
        assert struct.unpack_from("<I", packet, 8)[0] == 0x10001
        [(tag, frames)] = list(fcio_messages(packet[12:]))
        assert tag in (1, 3, 4, 7)
        if tag == 1:
            assert struct.unpack("<i", frames[11]) == (0x10001,)


def test_samples_agree_with_the_truth(cycles, small):
    """Single deposits on a quiet baseline: pole-zero corrected height over gain is the charge energy."""
    daq, truth = cycles[CAL_FCIO]
    hits, traces = lh5.read(truth, "truth/hits"), lh5.read(truth, "truth/traces")
    detectors = lh5.read(truth, "truth/detectors")
    one = (traces.array("n_hits") == 1) & (abs(traces.array("history")) < 0.5) & ~traces.array("is_saturated")
    quiet = {*zip(traces.array("event")[one].tolist(), traces.array("rawid")[one].tolist(), strict=True)}
    names = ("event", "rawid", "charge_energy", "is_pileup")
    rows = zip(*(hits.array(name).tolist() for name in names), strict=True)
    charge = {(event, rawid): energy for event, rawid, energy, is_late in rows if not is_late and energy > 0}
    messages = [frames for tag, frames in fcio_messages(daq.read_bytes()) if tag == 6]
    residuals = []
    for index, name in enumerate(("V01", "V02", "V03", "V04", "V05")):
        values = {key: scalar.value for key, scalar in detectors[name].members.items()}
        for event, frames in enumerate(messages):
            at = np.flatnonzero(np.frombuffer(frames[6], "<u2") == index)
            key = (event, values["rawid"])
            if len(at) == 0 or key not in quiet or key not in charge:
                continue
            words = np.frombuffer(frames[7 + at[0]], "<u2").astype(float)
            signal = words[2:] - words[2:1802].mean()
            corrected = np.cumsum(signal - np.exp(-16 / values["tau"]) * np.concatenate([[0], signal[:-1]]))
            height = corrected[2100:3000].mean() - corrected[900:1800].mean()
            residuals.append(height / values["gain"] - charge[key])
            assert words[0] == pytest.approx(values["baseline"], abs=3)
    assert len(residuals) > 150
    assert np.abs(residuals).max() < 1.5
    assert np.std(residuals) < 0.35  # [keV], small against the intrinsic resolution
    assert np.mean(residuals) == pytest.approx(0, abs=0.1)


def test_edge_stands_at_the_trigger_sample(cycles, small):
    _, truth = cycles[CAL_FCIO]
    hits = lh5.read(truth, "truth/hits")
    first = hits.array("time")[(hits.array("event") >= 0) & ~hits.array("is_pileup")] / 16
    assert first.min() >= small.trigger_sample - small.trigger_jitter
    assert first.max() <= small.trigger_sample + small.trigger_jitter + 1


def test_spectrum(settings, channels):
    """15000 events of the calibration source: line strengths and resolution are those of the settings."""
    experiment = prepare(settings, channels, CAL_FCIO)
    rows = experiment.hits.rows
    names = list(settings.sources["th228"].components)
    weights = np.array([c.weight for c in settings.sources["th228"].components.values()])
    drawn = rows[rows["component"] >= 0]
    counts = np.bincount(drawn["component"], minlength=len(names))
    expected = len(drawn) * weights / weights.sum()
    assert np.abs((counts - expected) / np.sqrt(expected)).max() < 4.5
    fep = drawn[drawn["component"] == names.index("tl208_fep")]
    assert len(fep) == pytest.approx(1500, rel=0.15)
    assert set(fep["energy"]) == {2614.511}
    for index, name in enumerate(["V01", "V02", "V03", "V04", "V05"]):
        charge = fep["charge_energy"][fep["channel"] == index]
        fwhm = settings.germanium[name].fwhm(2614.511)
        quartiles = np.percentile(charge, [25, 75])  # the tail of trapped charge hardly matters to them
        assert (quartiles[1] - quartiles[0]) * 2.3548 / 1.349 == pytest.approx(fwhm, rel=0.25)
        assert np.median(charge) == pytest.approx(2614.511, abs=0.6)


def test_triggers(settings, channels):
    timeline = prepare(settings, channels, CAL_FCIO).cycle.timeline
    assert len(timeline.trigger_time) == 15000
    assert np.diff(timeline.trigger_time).min() >= (4096 - 1900 - 6) * 16
    pulser = timeline.trigger_time[timeline.trigger_kind == PULSER]
    assert np.median(np.diff(pulser)) == pytest.approx(1e9, abs=100)
    forced = timeline.trigger_time[timeline.trigger_kind == FORCED]
    assert np.median(np.diff(forced)) == pytest.approx(2e9, abs=100)
    rate = 15000 / timeline.trigger_time[-1] * 1e9
    assert rate == pytest.approx(60 + 1 + 0.5, rel=0.05)


def test_blocked_time_has_no_events(settings, channels):
    timeline = prepare(settings, channels, CAL_FCIO).cycle.timeline
    blocked = timeline.dead_interval[timeline.dead_interval[:, 1] > 0]
    assert len(blocked) > 3
    assert set(np.diff(blocked, axis=1).ravel()) == {DEAD_TIME_NS}
    for start, stop in blocked:
        assert not ((timeline.trigger_time >= start + 100) & (timeline.trigger_time < stop - 100)).any()
    assert (timeline.arrival_event == -1).sum() == pytest.approx(len(blocked) * 0.02 * 60, abs=20)


def test_pile_up_belongs_to_the_event_before(settings, channels):
    experiment = prepare(settings, channels, CAL_FCIO)
    rows = experiment.hits.rows
    late = rows[rows["is_pileup"]]
    assert len(late) > 3
    delay = late["time"] - experiment.cycle.timeline.trigger_time[late["event"]]
    assert delay.max() < (4096 - 1900 + 3) * 16
    assert delay.min() > -100


def test_sparse_readout(small, channels):
    experiment = prepare(small, channels, CAL_FCIO)
    events, _ = read_out(experiment)
    n_traces = np.bincount(events)
    kind = experiment.cycle.timeline.trigger_kind
    assert set(n_traces[kind != PHYSICS]) == {9}
    assert n_traces[kind == PHYSICS].min() >= 1
    assert n_traces[kind == PHYSICS].mean() < 1.5


def test_photoelectrons(settings, channels, tmp_path):
    """Dark counts come with their rate; light only in events that have it."""
    source = settings.sources["background"].model_copy(update={"rate": 50.0, "pulser_period": 0.05})
    changed = settings.model_copy(update={"sources": {**settings.sources, "background": source}})
    truth = tmp_path / "truth.lh5"
    simulate_cycle(changed, channels, PHY_FCIO, tmp_path / "a.fcio", truth)
    photoelectrons = lh5.read(truth, "truth/photoelectrons")
    origin, time = photoelectrons.array("origin"), photoelectrons.array("time")
    n_dark = np.count_nonzero((origin == 1) & (time >= 0))
    expected = 400 * 4096 * 16e-9 * (1500 + 2500 + 1000)
    assert abs(n_dark - expected) < 5 * np.sqrt(expected)
    kind = lh5.read(truth, "truth/events").array("type")
    light = photoelectrons.array("event")[origin == 0]
    assert len(light) > 100
    assert set(kind[light]) == {PHYSICS}
    primary, crosstalk = np.count_nonzero(origin <= 1), np.count_nonzero(origin == 2)
    assert crosstalk / primary == pytest.approx(0.085, abs=0.04)


def test_truth_of_detectors(cycles):
    detectors = lh5.read(cycles[CAL_ORCA][1], "truth/detectors")
    assert "V05" not in detectors.members
    v01 = {name: scalar.value for name, scalar in detectors["V01"].members.items()}
    assert v01["rawid"] == 1104000
    assert v01["gain"] == pytest.approx(8.0 * 1.0012)
    assert v01["tau"] == 160_000
    assert v01["fwhm_2614"] == pytest.approx(2.2005, abs=1e-3)


def test_same_key_same_bytes(cycles, small, channels, tmp_path):
    for key, (daq, truth) in cycles.items():
        simulate_cycle(small, channels, key, tmp_path / "again", tmp_path / "again.lh5")
        assert (tmp_path / "again").read_bytes() == daq.read_bytes()
        assert (tmp_path / "again.lh5").read_bytes() == truth.read_bytes()


def test_every_cycle_and_seed_is_different(small, channels):
    other = small.model_copy(update={"seed": 1})
    times = [prepare(small, channels, key).cycle.timeline.trigger_time for key in list(daq_keys(small))[:2]]
    times.append(prepare(other, channels, CAL_FCIO).cycle.timeline.trigger_time)
    assert len({int(t[5]) for t in times}) == 3


def test_the_truth_is_optional_and_changes_nothing(cycles, small, channels, tmp_path):
    simulate_cycle(small, channels, PHY_ORCA, tmp_path / "a.orca")
    assert (tmp_path / "a.orca").read_bytes() == cycles[PHY_ORCA][0].read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == ["a.orca"]


def test_an_error_leaves_no_file_and_keeps_the_old_one(small, channels, tmp_path, monkeypatch):
    def fail(*_):
        raise ConfigError("stop here")

    (tmp_path / "a.fcio").write_text("old")
    monkeypatch.setattr(experiment_module, "digitise", fail)
    with pytest.raises(ConfigError, match="stop here"):
        simulate_cycle(small, channels, CAL_FCIO, tmp_path / "a.fcio", tmp_path / "t.lh5")
    assert [p.name for p in tmp_path.iterdir()] == ["a.fcio"]
    assert (tmp_path / "a.fcio").read_text() == "old"


def test_blocks_keep_events_whole(small, channels, monkeypatch, tmp_path):
    """The block size bounds memory; it may not show in events, only in the noise."""
    monkeypatch.setattr(experiment_module, "BLOCK_TRACES", 10)
    experiment = prepare(small, channels, PHY_FCIO)
    blocks = list(experiment_module.blocks(experiment))
    assert len(blocks) > 20
    assert all(len(block.traces) % 9 == 0 for block in blocks)
    assert np.array_equal(np.concatenate([b.traces.event for b in blocks]), np.repeat(np.arange(40), 9))


def test_no_detectors(small, channels, tmp_path):
    """All HPGe detectors switched off: pulser and SiPMs are still read out."""
    run = small.runs[1]
    names = list(small.germanium)
    absent = run.model_copy(update={"absent": {run.cycles[0]: names}})
    changed = small.model_copy(update={"runs": [absent]})
    simulate_cycle(changed, channels, PHY_FCIO, tmp_path / "a.fcio", tmp_path / "t.lh5")
    assert set(column(tmp_path / "t.lh5", "traces", "rawid")) == {1105600, 1105601, 1105602, 1107200}
