"""Codec bytes against the reference encoders, and their decoders on our bytes."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from pygama_core import lh5
from pygama_core.lh5 import codecs
from pygama_core.lh5.codecs.radware import RadwareSigcompress
from pygama_core.lh5.codecs.uleb128 import Uleb128ZigzagDiff

pytestmark = pytest.mark.peers

ENCODE = """
import sys, warnings
warnings.simplefilter("ignore")
import numpy as np
from lgdo import ArrayOfEqualSizedArrays
from lh5.compression import RadwareSigcompress, ULEB128ZigZagDiff, encode

found = {}
with np.load(sys.argv[1]) as data:
    for name in data.files:
        codec = name.split("@")[1]
        codec = ULEB128ZigZagDiff() if codec == "uleb128" else RadwareSigcompress(codec_shift=int(codec))
        encoded = encode(ArrayOfEqualSizedArrays(nda=data[name]), codec=codec)
        found[name + "@bytes"] = encoded.encoded_data.flattened_data.nda
        found[name + "@ends"] = encoded.encoded_data.cumulative_length.nda
np.savez(sys.argv[2], **found)
"""


def real_waveforms(testdata: Path) -> list[np.ndarray]:
    found = []
    for path in sorted((testdata / "lh5").rglob("*tier_raw.lh5")):
        for name in lh5.ls(path, "ch*/raw/wave*"):
            values = lh5.read(path, name)["values"].values
            if len(values):
                found.append(values)
    return found


def made_waveforms() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    found = []
    for n in (*range(16, 60), 97, 127, 128, 129, 176, 177, 300, 1023, 8192, 32767):
        quiet = 15000 + np.cumsum(rng.normal(0, 3, (3, n)), axis=1) + rng.normal(0, 4, (3, n))
        found.append(quiet.round().astype("u2"))
        found.append((quiet - 15000).round().astype("i2"))
    for width in range(1, 11):  # all widths of fields; wider ones burst the reference's buffer
        found.append(rng.integers(0, 1 << width, (3, 1000)).astype("u2"))
        found.append((np.arange(1000) * 7 + rng.integers(0, 1 << width, (3, 1000))).astype("u2"))
        found.append(rng.integers(-(1 << width), 1 << width, (3, 1000)).astype("i4"))
    steps = np.repeat(rng.integers(0, 60000, (3, 10)), 200, axis=1)
    return [*found, steps.astype("u2"), np.full((2, 500), 65535, "u2"), np.zeros((2, 500), "i2")]


def test_encoded_bytes_are_those_of_the_reference(testdata, peers_python, tmp_path):
    waveforms = [*real_waveforms(testdata), *made_waveforms()]
    cases = {}
    for k, values in enumerate(waveforms):
        cases[f"{k}@uleb128"] = values
        if values.dtype.itemsize == 2 or (values.min() >= -32768 and values.max() < 32768):
            cases[f"{k}@{-32768 if values.dtype == np.uint16 else 0}"] = values
    np.savez(tmp_path / "in.npz", **cases)
    done = subprocess.run(
        [peers_python, "-c", ENCODE, tmp_path / "in.npz", tmp_path / "out.npz"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    n_rows = 0
    with np.load(tmp_path / "out.npz") as theirs:
        for name, values in cases.items():
            kind = name.split("@")[1]
            codec = Uleb128ZigzagDiff() if kind == "uleb128" else RadwareSigcompress(int(kind))
            ours = codecs.encode(lh5.Array(values), codec).encoded_data
            ends = theirs[f"{name}@ends"].astype(np.int64)
            np.testing.assert_array_equal(ours.cumulative_length, ends, err_msg=name)
            mine, peer = ours.flattened_data, theirs[f"{name}@bytes"][: ends[-1]].copy()
            if kind != "uleb128":
                _clear_undefined_pads(mine, peer, ends)
            np.testing.assert_array_equal(mine, peer, err_msg=name)
            n_rows += len(values)
    assert n_rows > 1200


def _clear_undefined_pads(ours: np.ndarray, peer: np.ndarray, ends: np.ndarray) -> None:
    """The reference leaves the word that pads a row to a multiple of four bytes as it was in memory; ours is 0."""
    for end in ends:
        if ours[end - 2 : end].any() or not peer[end - 2 : end].any():
            continue
        peer[end - 2 : end] = 0
