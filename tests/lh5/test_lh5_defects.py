"""What the reference gets wrong (the table in docs/reference/lh5.md) and no other test shows to be right."""

import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from pygama_core import lh5
from pygama_core.lh5 import codecs, rewrite

SIZES = (4, 0, 1, 7, 3)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Five short files, and all rows as lists: rows at the borders of files, empty files and empty vectors."""
    directory = tmp_path_factory.mktemp("run")
    rng = np.random.default_rng(0)
    rows, paths = [], []
    for number, n_rows in enumerate(SIZES):
        ragged = [rng.integers(0, 99, rng.integers(0, 3)).tolist() for _ in range(n_rows)]
        rows += [(100 * number + row, ragged[row]) for row in range(n_rows)]
        paths.append(directory / f"{number}.lh5")
        with lh5.Writer(paths[-1]) as out:
            x = lh5.Array(100 * number + np.arange(n_rows))
            out.append("t", lh5.Table({"x": x, "v": lh5.VectorOfVectors.from_rows(ragged, "i8")}))
    return paths, rows


def content(table):
    return [(int(x), row.tolist()) for x, row in zip(table["x"].values, table["v"], strict=True)]


def test_rows_of_many_files_for_any_list(run):
    paths, rows = run
    rng = np.random.default_rng(1)
    for trial in range(150):
        wanted = rng.integers(0, len(rows), rng.integers(1, 9))
        wanted = np.unique(wanted) if trial % 2 else wanted
        assert content(lh5.read(paths, "t", rows=wanted)) == [rows[row] for row in wanted]
        blocks = [part for table in lh5.iterate(paths, "t", n_rows=2, rows=np.sort(wanted)) for part in content(table)]
        assert blocks == [rows[row] for row in np.sort(wanted)]


def test_ranges_of_ragged_rows_with_empty_ones(run):
    paths, rows = run
    rng = np.random.default_rng(2)
    for files, known in ((paths, rows), (paths[3], rows[5:12])):
        for _ in range(75):
            ranges = np.sort(rng.integers(0, len(known) + 1, (rng.integers(1, 4), 2)), axis=1)
            expected = [known[row] for first, end in ranges for row in range(first, end)]
            assert content(lh5.read(files, "t", rows=ranges)) == expected


@pytest.mark.parametrize("codec", [None, "radware_sigcompress", "uleb128_zigzag_diff"])
def test_attributes_of_waveforms_stay(tmp_path, codec):
    steps = np.random.default_rng(0).integers(-5, 6, (20, 100)).cumsum(axis=1)
    columns = {
        "t0": lh5.Array(np.zeros(20), {"units": "ns"}),
        "dt": lh5.Array(np.ones(20), {"units": "ns"}),
        "values": lh5.Array((9000 + steps).astype("u2"), {"units": "ADC", "description": "trace"}),
    }
    with lh5.Writer(tmp_path / "w.lh5", codec=codec) as out:
        out.append("w", lh5.Table(columns, {"description": "raw", "gain": 2}))
    found = lh5.read(tmp_path / "w.lh5", "w")
    assert found.attrs == {"description": "raw", "gain": 2}
    assert {name: column.attrs for name, column in found.items()} == {n: c.attrs for n, c in columns.items()}
    assert found["values"].dtype == np.uint16
    rewrite.concat([tmp_path / "w.lh5"] * 2, tmp_path / "both.lh5")
    joined = lh5.read(tmp_path / "both.lh5", "w", decode=False)
    assert isinstance(joined["values"], lh5.EncodedArray) is (codec is not None)
    assert joined.attrs == found.attrs
    np.testing.assert_array_equal(
        lh5.read(tmp_path / "both.lh5", "w/values").values, np.tile(columns["values"].values, (2, 1))
    )


def test_all_public_names_exist():
    assert all(hasattr(lh5, name) for name in lh5.__all__)


@pytest.mark.parametrize("codec", ["radware_sigcompress", "uleb128_zigzag_diff"])
def test_decoding_needs_little_more_than_its_result(codec):
    steps = np.random.default_rng(0).integers(-5, 6, (500, 2000)).cumsum(axis=1)
    column = lh5.Array((30000 + steps).astype("u2"))
    encoded = codecs.encode(column, codecs.suited(codec, column.values))
    codecs.decode(encoded)  # compiled code is loaded once
    tracemalloc.start()
    decoded = codecs.decode(encoded)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    np.testing.assert_array_equal(decoded.values, column.values)
    assert peak < 1.2 * column.values.nbytes


def test_every_test_that_the_table_names_exists():
    root = Path(__file__).parents[2]
    table = (root / "docs" / "reference" / "lh5.md").read_text().partition("## Defects of the reference")[2]
    named = re.findall(r"`(test_\w+)::(test_\w+)`", table)
    assert len(named) > 20
    for module, test in named:
        assert f"def {test}(" in (root / "tests" / "lh5" / f"{module}.py").read_text(), f"{module}::{test}"
