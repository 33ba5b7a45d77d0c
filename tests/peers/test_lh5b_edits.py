"""The reference reads what our edits leave behind, and we edit what the reference wrote."""

import json
import subprocess

import numpy as np
import pytest

from pygama_core import lh5
from pygama_core.lh5 import modify, rewrite
from pygama_core.lh5.integrity import verify

pytestmark = pytest.mark.peers

READ = """
import json, sys
import lh5
path, name = sys.argv[1:]
table = lh5.read(name, path)
def plain(obj):
    if hasattr(obj, "flattened_data"):
        return [row.tolist() for row in obj]
    if hasattr(obj, "keys"):
        return {key: plain(obj[key]) for key in sorted(obj.keys())}
    return obj.nda.tolist()
units, datatype = table["energy"].attrs.get("units"), table.attrs["datatype"]
print(json.dumps({"values": plain(table), "units": units, "type": datatype}))
"""
WRITE = """
import sys
import numpy as np
import lgdo, lh5
n = 20
rng = np.random.default_rng(5)
lengths = rng.integers(0, 4, n)
table = lgdo.Table(col_dict={
    "energy": lgdo.Array(rng.random(n), attrs={"units": "keV"}),
    "is_good": lgdo.Array(rng.random(n) > 0.5),
    "pulses": lgdo.VectorOfVectors(
        flattened_data=lgdo.Array(rng.integers(0, 9, lengths.sum())),
        cumulative_length=lgdo.Array(lengths.cumsum()),
    ),
    "waveform": lgdo.WaveformTable(t0=0, t0_units="ns", dt=16, dt_units="ns",
                                   values=rng.integers(0, 4000, (n, 30)).astype("u2"), values_units="ADC"),
})
lh5.write(table, "hit", sys.argv[1], group="ch1", wo_mode="of")
"""


def peer(python, code, *arguments):
    done = subprocess.run([python, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def plain(obj):
    if isinstance(obj, lh5.Table):
        return {name: plain(obj[name]) for name in sorted(obj)}
    if isinstance(obj, lh5.VectorOfVectors):
        return [obj[row].tolist() for row in range(len(obj))]
    return obj.values.tolist()


@pytest.mark.parametrize("in_place", [False, True], ids=["copy", "journal"])
def test_reference_reads_a_file_of_its_own_after_all_our_edits(tmp_path, peers_python, in_place):
    path = tmp_path / "hit.lh5"
    peer(peers_python, WRITE, path)
    table = lh5.read(path, "ch1/hit")
    with modify.edit(path, in_place=in_place) as file:
        file.append("ch1/hit", table.rows(np.array([3, 0, 19])))
        file.overwrite_rows("ch1/hit", slice(1, 3), table.rows(np.array([7, 8])))
        file.add_columns("ch1/hit", lh5.Table({"new": lh5.Array(np.arange(23))}))
        file.overwrite("ch1/hit/energy", lh5.Array(np.arange(23) / 7, {"units": "MeV"}))
        file.remove("ch1/hit/is_good")
    order = np.array([0, 7, 8, *range(3, 20), 3, 0, 19])
    expected = {name: column for name, column in table.rows(order).columns.items() if name != "is_good"}
    expected["energy"] = lh5.Array(np.arange(23) / 7)
    expected["new"] = lh5.Array(np.arange(23))
    found = json.loads(peer(peers_python, READ, path, "ch1/hit"))
    assert found["values"] == plain(lh5.Table(expected))
    assert found["units"] == "MeV"
    assert found["type"] == "table{energy,new,pulses,waveform}"


def test_reference_reads_repacked_joined_and_stamped_files(tmp_path, peers_python):
    path, joined = tmp_path / "hit.lh5", tmp_path / "all.lh5"
    peer(peers_python, WRITE, path)
    table = lh5.read(path, "ch1/hit")
    rewrite.concat([path, path, path], joined)
    rewrite.repack(joined, checksums=True, digests=True)
    found = json.loads(peer(peers_python, READ, joined, "ch1/hit"))
    assert found["values"] == plain(lh5.concatenate([table, table, table]))
    assert verify(joined).is_covered
    rewrite.truncate(joined, path, 33)
    found = json.loads(peer(peers_python, READ, path, "ch1/hit"))
    assert found["values"] == plain(lh5.concatenate([table, table.rows(slice(0, 13))]))


def test_what_the_reference_appends_is_seen_as_a_change(tmp_path, peers_python):
    """A program that does not know digests leaves them stale, and that is what verify reports."""
    path = tmp_path / "hit.lh5"
    peer(peers_python, WRITE, path)
    rewrite.add_digests(path)
    code = "import sys, lgdo, lh5; lh5.write(lgdo.Scalar(3), 'extra', sys.argv[1], wo_mode='w')"
    peer(peers_python, code, path)
    assert [fault.name for fault in verify(path).faults] == ["/"]
