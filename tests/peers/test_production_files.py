"""Every object of every tier that a production writes is read by the reference's LH5 reader."""

import subprocess

import pytest
import yaml

from pygama_core import cli

pytestmark = pytest.mark.peers

READ_ALL = """
import sys, h5py, lh5

def objects(group, name=""):
    for key in group:
        path = f"{name}/{key}".strip("/")
        if "datatype" in group[key].attrs:
            yield path
        if isinstance(group[key], h5py.Group):
            yield from objects(group[key], path)

for file in sys.argv[1:]:
    with h5py.File(file, "r", locking=False) as opened:
        names = list(objects(opened))
    for name in names:
        lh5.read(name, file)
    print(len(names))
"""


def run(*arguments):
    assert cli.main([str(argument) for argument in arguments]) == 0


@pytest.mark.parametrize(
    "key",
    [
        "demo-p01-r001-cal-20260101T000000Z",
        "demo-p01-r002-cal-20260108T000000Z",
        "demo-p01-r002-phy-20260108T010000Z",
    ],
)
def test_reference_reads_every_object(tmp_path, repository, peers_python, key):
    config = repository / "config"
    settings = yaml.safe_load((config / "simulation.yaml").read_text())
    for entry in settings["runs"]:
        entry["events"] = 40
    (tmp_path / "sim.yaml").write_text(yaml.safe_dump(settings))
    names = ("truth", "raw", "tcm", "dsp", "hit", "evt")
    truth, raw, tcm, dsp, hit, evt = (tmp_path / f"{key}-tier_{name}.lh5" for name in names)
    channelmap = ("--channelmap", config / "channelmap.yaml")

    def configs(tier):
        return [a for s in ("geds", "spms", "puls") for a in ("--config", f"{s}={config}/{tier}/{s}.yaml")]

    run("simulate", tmp_path / "sim.yaml", *channelmap, "--key", key, "--daq", tmp_path / "daq", "--truth", truth)
    run("daq-to-raw", tmp_path / "daq", raw, *channelmap)
    run("build-tcm", raw, tcm, "--window-ns", 1000)
    run("raw-to-dsp", raw, dsp, *configs("dsp"), *channelmap)
    run("dsp-to-hit", dsp, hit, *configs("hit"), *channelmap)
    tiers = ("--tcm", tcm, "--dsp", dsp, "--hit", hit)
    run("hit-to-evt", evt, *tiers, "--config", config / "evt/evt.yaml", *channelmap)
    files = [str(path) for path in (truth, raw, tcm, dsp, hit, evt)]
    done = subprocess.run([peers_python, "-c", READ_ALL, *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert all(int(count) >= 4 for count in done.stdout.split())
