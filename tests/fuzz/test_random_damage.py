"""Thousands of damaged files with fixed seeds: no crash, no hang, no false record, every loss told."""

import numpy as np
import pytest
from damage import Damage, check, decode, subjects

QUICK = 60  # cases of each file in the default run
FULL = 1500


@pytest.mark.parametrize("name", subjects())
def test_hundreds_of_cases(name):
    run(name, range(QUICK))


@pytest.mark.workflow
@pytest.mark.parametrize("name", subjects())
def test_thousands_of_cases(name):
    """1,500 of each file, 12,000 in all; minutes."""
    run(name, range(QUICK, QUICK + FULL))


def run(name, seeds):
    from damage import damaged

    for seed in seeds:
        case = damaged(name, seed)
        try:
            check(name, case)
        except Exception as error:
            raise AssertionError(f"{name}, seed {seed}: {case.what}: {error!r}") from error


REAL = {
    "fcio": "fcio/th228.fcio",
    "orca": "orca/fcio/l200-p13-r007-aph-20250101T003931Z.orca",
    "compass": "compass/compass_test_data.BIN",
    "llama": "llamaDAQ/20241218-150158-pulser.bin",
}


@pytest.mark.parametrize("format", REAL)
def test_damaged_real_files(testdata, format):
    """Bytes changed all over a real file cost some of its rows."""
    content = (testdata / REAL[format]).read_bytes()[:600_000]
    rng = np.random.default_rng(1)
    n_whole = sum(decode(format, content)[1].rows.values())
    for _ in range(3):
        damaged = bytearray(content)
        for at in rng.integers(300_000 if format == "orca" else 5000, len(damaged), 5).tolist():
            damaged[at] ^= 1 << int(rng.integers(8))
        _, summary = decode(format, bytes(damaged))
        assert sum(summary.rows.values()) >= 0.8 * n_whole - 5


def test_the_judge_finds_a_false_record():
    subject = subjects()["fcio"]
    shifted = bytearray(subject.content)
    samples = len(subject.content) - 100
    shifted[samples - 40 : samples] = subject.content[samples - 38 : samples + 2]
    with pytest.raises(AssertionError, match="a false record"):
        check("fcio", Damage("insert", bytes(shifted)))
