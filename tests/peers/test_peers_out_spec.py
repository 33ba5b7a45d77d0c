"""Output specifications: the same one gives the same files, tables and values as the reference."""

import json
import subprocess

import h5py
import numpy as np
import pytest

from pygama_core import lh5
from pygama_core.tiers.daq_to_raw import RawOptions, daq_to_raw

pytestmark = pytest.mark.peers

BUILD = """
import json, sys
from daq2lh5 import build_raw
build_raw(sys.argv[1], in_stream_type=sys.argv[2], out_spec=json.loads(sys.argv[3]), overwrite=True, dir=sys.argv[4])
"""
FCIO = ("fcio/l200-p06-r007-cal-20230725T202227Z.fcio", "FlashCam")
FC = ("orca/fc/L200-comm-20220519-phy-geds.orca", "ORCA")
WRAPPED = ("orca/fcio/l200-p13-r007-aph-20250101T003931Z.orca", "ORCA")
LLAMA = ("llamaDAQ/20241218-150158-pulser.bin", "LlamaDaq")
COMPASS = ("compass/compass_test_data.BIN", "Compass")
ALL = {"key_list": ["*"], "out_stream": "{dir}/all.lh5"}
PRESUM = {
    "window": ["waveform", 1000, -1000, "windowed_waveform"],
    "dsp_config": {
        "outputs": ["presum_rate", "presummed_waveform", "t_sat_lo", "t_sat_hi"],
        "processors": {
            "presum_rate, presummed_waveform": {
                "function": "presum",
                "module": "dspeed.processors",
                "args": [
                    "waveform",
                    0,
                    "presum_rate",
                    "presummed_waveform(shape=len(waveform)//16, period=waveform.period*16, "
                    "offset=waveform.offset, dtype='f')",
                ],
                "unit": ["", "ADC"],
            },
            "t_sat_lo, t_sat_hi": {
                "function": "saturation",
                "module": "dspeed.processors",
                "args": ["waveform", 16, "t_sat_lo", "t_sat_hi"],
                "unit": "ADC",
            },
        },
    },
    "drop": ["waveform", "packet_ids"],
    "dtype_conv": {"presummed_waveform/values": "uint32", "t_sat_lo": "uint16", "t_sat_hi": "uint16"},
}
CASES = {
    "one table": (FCIO, {"FCEventDecoder": {"geds": {**ALL}}}),
    "range": (FCIO, {"FCEventDecoder": {"geds": {**ALL, "key_list": [[104000, 104003], 105600]}}}),
    "keyed": (FCIO, {"FCEventDecoder": {"ch{key:07d}/raw": {**ALL}}}),
    "range and the rest": (
        FCIO,
        {
            "FCEventDecoder": {
                "rest{key}": {**ALL, "out_stream": "{dir}/rest.lh5:/others"},
                "geds": {"key_list": [[104000, 104003]], "out_stream": "{dir}/geds.lh5:/a/b"},
            }
        },
    ),
    "one key listed twice": (
        FCIO,
        {
            "FCEventDecoder": {
                "first": {"key_list": [[104000, 104003]], "out_stream": "{dir}/first.lh5"},
                "second": {"key_list": [104001], "out_stream": "{dir}/second.lh5"},
            }
        },
    ),
    "a file for each key": (
        FCIO,
        {
            "FCEventDecoder": {
                "ch{key}": {"key_list": [[104000, 104001]], "out_stream": "{dir}/{key}.lh5:/{name}", "out_name": "raw"}
            }
        },
    ),
    "window and types": (
        FCIO,
        {
            "FCEventDecoder": {
                "geds": {
                    **ALL,
                    "key_list": [[104000, 104003]],
                    "proc_spec": {
                        "window": ["waveform", 100, -100, "cut"],
                        "drop": ["waveform", "packet_id"],
                        "dtype_conv": {"cut/values": "uint32", "channel": "float32"},
                    },
                }
            }
        },
    ),
    "presum": (FCIO, {"FCEventDecoder": {"ch{key}/raw": {**ALL, "key_list": [104000, 104005], "proc_spec": PRESUM}}}),
    "orca channels": (FC, {"ORFlashCamADCWaveformDecoder": {"geds": {**ALL, "key_list": [[1028802, 1028804]]}}}),
    "orca keyed and the rest": (
        FC,
        {
            "ORFlashCamADCWaveformDecoder": {"ch{key}/raw": {**ALL}},
            "*": {"{name}": {**ALL, "out_stream": "{dir}/other.lh5"}},
        },
    ),
    "wrapped fcio": (WRAPPED, {"*": {"{name}": {**ALL}}}),
    "wrapped fcio below a group": (WRAPPED, {"*": {"x/{name}": {**ALL}}}),
    "wrapped fcio by key": (
        WRAPPED,
        {
            "ORFCIOEventDecoder": {"{key}": {**ALL, "key_list": ["swtid_1/event"]}},
            "ORFCIOEventHeaderDecoder": {"h/{key}": {**ALL}},
        },
    ),
    "llama": (LLAMA, {"*": {"{name}": {**ALL}}}),
    "llama keyed": (LLAMA, {"LLAMAEventDecoder": {"ch{key:02d}": {**ALL, "key_list": [0, 4]}}}),
    "compass": (COMPASS, {"*": {"{name}": {**ALL}}}),
    "compass keyed": (COMPASS, {"CompassEventDecoder": {"ch{key:03d}": {**ALL}}}),
}
# documented in docs/reference/raw-differences.md: structs instead of tables of one row, and defects of the reference
STRUCTS = ("FCConfig", "ORFCIOConfig", "ORFlashCamListenerConfig", "OrcaHeader", "CompassHeader", "LLAMAHeader")
OURS_ONLY = ("daq_summary", "provenance")
DEFECTS = ("energy_calibrated",)  # uninitialised where the file has none


def tables(path):
    """All tables of a file that have rows and are no waveforms, by name."""
    names = []

    def visit(name, obj):
        datatype = str(obj.attrs.get("datatype", ""))
        if datatype.startswith("table{") and datatype != "table{dt,t0,values}":
            names.append(name)

    with h5py.File(path) as file:
        file.visititems(visit)
    kept = [n for n in names if not any(s in n for s in STRUCTS) and not n.startswith(OURS_ONLY)]
    return {name: table for name in kept if (table := lh5.read(path, name)).n_rows}


def assert_equal(ours, theirs, where):
    assert set(theirs) <= set(ours), where
    for name in sorted(theirs):
        if name in DEFECTS:
            continue
        mine, peer = ours[name], theirs[name]
        if isinstance(peer, lh5.Table):
            skipped = ("t0", "dt") if "ompass" in where else ()
            assert_equal(mine, lh5.Table({n: peer[n] for n in peer if n not in skipped}), f"{where}/{name}")
        elif isinstance(peer, lh5.VectorOfVectors):
            np.testing.assert_array_equal(mine.cumulative_length, peer.cumulative_length, err_msg=f"{where}/{name}")
            n = int(peer.cumulative_length[-1])
            np.testing.assert_array_equal(mine.flattened_data[:n], peer.flattened_data[:n], err_msg=f"{where}/{name}")
        else:
            assert mine.values.dtype == peer.values.dtype, f"{where}/{name}"
            np.testing.assert_array_equal(mine.values, peer.values, err_msg=f"{where}/{name}")


@pytest.mark.parametrize("case", CASES)
def test_same_specification_gives_the_same_tables(testdata, tmp_path, peers_python, case):
    (name, kind), spec = CASES[case]
    if case == "presum":
        pytest.importorskip("pygama_core.dsp.chain", exc_type=ImportError)
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    theirs.mkdir()
    arguments = [str(testdata / name), kind, json.dumps(spec), str(theirs)]
    subprocess.run([peers_python, "-c", BUILD, *arguments], check=True, capture_output=True)
    options = RawOptions(out_spec=spec, keywords={"dir": str(ours)})
    daq_to_raw(testdata / name, ours / "main.lh5", options=options)
    files = sorted(path.name for path in theirs.iterdir())
    assert files == sorted(path.name for path in ours.iterdir() if path.name != "main.lh5")
    for file in files:
        expected, found = tables(theirs / file), tables(ours / file)
        assert sorted(found) == sorted(expected), file
        for table in expected:
            assert_equal(found[table], expected[table], f"{case}/{file}/{table}")
