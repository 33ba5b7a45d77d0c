"""CoMPASS, llamaDAQ and Struck cards against the reference decoder: every column that it reads right."""

import subprocess

import numpy as np
import pytest

from pygama_core import lh5
from pygama_core.sim import compass_writer as cw
from pygama_core.sim import struck_writer as sw
from pygama_core.sim.orca_writer import RunFlags, run_record
from pygama_core.tiers.daq_to_raw import daq_to_raw

pytestmark = pytest.mark.peers

BUILD = """
import sys
from daq2lh5 import build_raw
more = {"compass_config_file": sys.argv[4]} if len(sys.argv) > 4 else {}
build_raw(sys.argv[1], out_spec=sys.argv[2], overwrite=True, in_stream_type=sys.argv[3], **more)
"""


@pytest.fixture
def both(tmp_path, peers_python):
    """Return a function that converts a file with the reference and with this package."""

    def convert(daq, kind, *more):
        peer, raw = tmp_path / "peer.lh5", tmp_path / "raw.lh5"
        arguments = [peers_python, "-c", BUILD, str(daq), str(peer), kind, *map(str, more)]
        subprocess.run(arguments, check=True, capture_output=True)
        daq_to_raw(daq, raw)
        return raw, peer

    return convert


def all_rows(raw):
    """All channels' rows in file order."""
    tables = [lh5.read(raw, name) for name in lh5.ls(raw, "ch*/raw")]
    joined = lh5.concatenate([table for table in tables if table.n_rows])
    return joined.rows(np.argsort(joined.array("packet_id"), kind="stable"))


def assert_equal(ours, theirs, skip=()):
    """Compare all columns of the reference but ``skip``: values, types and units; return how many were compared."""
    for name in sorted(set(theirs) - set(skip)):
        mine, peer = ours[name], theirs[name]
        if isinstance(peer, lh5.Table):
            assert_equal(mine, peer, [entry.split("/")[1] for entry in skip if entry.startswith(f"{name}/")])
            continue
        assert mine.values.dtype == peer.values.dtype, name
        np.testing.assert_array_equal(mine.values, peer.values, err_msg=name)
        units = peer.attrs.get("units")
        assert units is None or mine.attrs.get("units", "").lower() == units.lower() or not mine.attrs.get("units"), (
            name
        )
    return len(set(theirs) - set(skip))


def assert_equal_structs(ours, theirs, skip=()):
    for name, peer in theirs.members.items():
        if name in skip:
            continue
        mine = ours[name]
        if isinstance(peer, lh5.Struct):
            assert_equal_structs(mine, peer, skip)
        else:
            assert mine.value == peer.value, name


def test_real_compass_file(testdata, both):
    daq = testdata / "compass/compass_test_data.BIN"
    raw, peer = both(daq, "Compass", testdata / "compass/compass_test_data_settings.xml")
    theirs = lh5.read(peer, "CompassEvent")
    # energy_calibrated is uninitialised there, dt a constant 16 ns
    assert assert_equal(all_rows(raw), theirs, ("energy_calibrated", "waveform/dt")) == 9
    assert_equal_structs(lh5.read(raw, "extra/CompassHeader"), lh5.read(peer, "CompassHeader"))


def test_real_llama_file(testdata, both):
    raw, peer = both(testdata / "llamaDAQ/20241218-150158-pulser.bin", "LlamaDaq")
    for channel in (0, 4):
        ours, theirs = lh5.read(raw, f"ch{channel:07d}/raw"), lh5.read(peer, f"LLAMAEvent_{channel}")
        assert assert_equal(ours, theirs) == 19
    assert_equal_structs(lh5.read(raw, "extra/LLAMAHeader"), lh5.read(peer, "LLAMAHeader"))


@pytest.mark.parametrize("content", [0xD, 0x9])
def test_synthetic_compass_files(tmp_path, both, content):
    """Both layouts that the reference reads."""
    rng = np.random.default_rng(content)
    events = [
        cw.CompassEvent(
            channel=int(rng.integers(0, 4)),
            timestamp=1000 + 10_000_000 * k,
            samples=rng.integers(0, 16384, 50),
            energy=int(rng.integers(0, 65536)),
            energy_short=int(rng.integers(0, 65536)),
            flags=0x4000 | int(rng.integers(0, 4)) << 6,
        )
        for k in range(40)
    ]
    daq = tmp_path / "synthetic.BIN"
    daq.write_bytes(cw.compass_file(cw.RecordFormat(cw.Content(content)), events))
    raw, peer = both(daq, "Compass")
    assert assert_equal(all_rows(raw), lh5.read(peer, "CompassEvent"), ("energy_calibrated", "waveform/dt")) == 9


def orca_file(path, card, decoder, packets):
    start = run_record(RunFlags.START, 1, 1_700_000_000)
    path.write_bytes(b"".join([sw.vme_header([card], [decoder]), start, *packets]))
    return path


@pytest.mark.parametrize("n_energy", [0, 6])
def test_synthetic_sis3302(tmp_path, both, n_energy):
    """Times below 2**32: the reference loses the upper bits."""
    rng = np.random.default_rng(3)
    settings = {"internalTriggerEnabledMask": 0xFF, "externalTriggerEnabledMask": 0, "sampleLengths": [40] * 4}
    card = sw.VmeCard(1, 6, "ORSIS3302Model", settings | {"clockSource": 0})
    events = [
        sw.Sis3302Event(
            channel=int(rng.integers(0, 8)),
            timestamp=int(rng.integers(0, 2**31)),
            samples=rng.integers(0, 65536, 40),
            energy=int(rng.integers(0, 2**31)),
            energy_first=int(rng.integers(0, 2**31)),
            energy_waveform=tuple(rng.integers(0, 2**32, n_energy).tolist()),
        )
        for _ in range(30)
    ]
    packets = [sw.sis3302_packet(card, event) for event in events]
    raw, peer = both(orca_file(tmp_path / "sis3302.orca", card, sw.SIS3302, packets), "ORCA")
    names = [name for name in lh5.ls(peer) if name.startswith("ORSIS3302")]
    theirs = lh5.concatenate([lh5.read(peer, name) for name in names])
    theirs = theirs.rows(np.argsort(theirs.array("packet_id"), kind="stable"))
    assert assert_equal(all_rows(raw), theirs) == 8


def test_synthetic_sis3316(tmp_path, both):
    """All groups recorded: the reference reads nothing else; what stands behind accumulator 6 it shifts by a word."""
    rng = np.random.default_rng(4)
    card = sw.VmeCard(0, 7, "ORSIS3316Model", {"enabledMask": 0xFFFF, "rawDataBufferLen": 32})
    packets = []
    for _ in range(30):
        channel = int(rng.integers(0, 16))
        words = rng.integers(0, 2**28, 13).tolist()
        event = sw.Sis3316Event(
            0x10 | channel,
            int(rng.integers(0, 2**31)),
            rng.integers(0, 65536, 32),
            peak=(int(rng.integers(0, 32)), int(rng.integers(0, 65536))),
            information=int(rng.integers(0, 256)),
            sums=(words[0] >> 4, *words[1:8]),
            maw=tuple(words[8:11]),
            energies=tuple(words[11:]),
        )
        packets.append(sw.sis3316_packet(card, channel, [event]))
    raw, peer = both(orca_file(tmp_path / "sis3316.orca", card, sw.SIS3316, packets), "ORCA")
    names = [name for name in lh5.ls(peer) if name.startswith("ORSIS3316")]
    theirs = lh5.concatenate([lh5.read(peer, name) for name in names])
    ours = all_rows(raw)
    theirs = theirs.rows(np.argsort(theirs.array("timestamp"), kind="stable"))  # its packet ids are not filled
    ours = ours.rows(np.argsort(ours.array("timestamp"), kind="stable"))
    shifted = ("accSum7", "accSum8", "mawMax", "mawBefore", "mawAfter", "startEnergy", "maxEnergy")
    skip = (*shifted, "packet_id", "energy", "energy_first")
    assert assert_equal(ours, theirs, skip) >= 14
    for name, behind in zip(("accSum6", *shifted), shifted, strict=False):
        np.testing.assert_array_equal(ours[name].values, theirs[behind].values)
