"""Codecs: golden bytes, every row restored, and refusal of what cannot be restored."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pygama_core import lh5
from pygama_core.errors import LH5Error
from pygama_core.lh5 import codecs
from pygama_core.lh5.codecs.radware import RadwareSigcompress
from pygama_core.lh5.codecs.uleb128 import Uleb128ZigzagDiff

RAMP = np.arange(0, 500, 10)
# output of the reference implementations, with a pad word of 0 at the end of radware rows
GOLDEN = [
    ([10, 12, 11, 11, 300], "i4", Uleb128ZigzagDiff(), "14 04 01 00 c2 04"),
    ([0, 63, 64, -1, -65, 8192], "i4", Uleb128ZigzagDiff(), "00 7e 02 81 01 7f 82 81 01"),
    ([40000, 40001, 39998, 65535], "u2", Uleb128ZigzagDiff(), "80 f1 04 02 05 82 8f 03"),
    ([10, 12, 11, 11, 300], "i4", RadwareSigcompress(), "0005 0005 0009 000a 0000 8020 1910 0000"),
    ([0, 63, 64, -1, -65, 8192], "i4", RadwareSigcompress(), "0006 0006 000e ffbf 0104 0800 2040 4000 0204 1000"),
    ([7], "i2", RadwareSigcompress(), "0001 0001 0022 0007 3e80 0000"),
    (RAMP, "i2", RadwareSigcompress(), "0032 0032 0022 0000 000a" + "00" * 14),
    ([1000] * 50, "i2", RadwareSigcompress(), "0032 0032 0002 03e8" + "00" * 16),
    ([0] * 128 + [5], "i2", RadwareSigcompress(), "0081 0080 0002 0000" + "00" * 32 + "0001 0022 0005 3e80"),
    (
        [40000, 40001, 39998, 65535],
        "u2",
        RadwareSigcompress(-32768),
        "0004 0004 000f 1c3e 0004 000c 0006 3c10",
    ),
]


@pytest.mark.parametrize(("row", "dtype", "codec", "expected"), GOLDEN)
def test_golden_bytes(row, dtype, codec, expected):
    column = lh5.Array(np.array([row, row], dtype))
    encoded = codecs.encode(column, codec)
    golden = bytes.fromhex(expected)
    assert encoded.encoded_data.flattened_data.tobytes() == golden + golden
    assert encoded.encoded_data.cumulative_length.tolist() == [len(golden), 2 * len(golden)]
    found = codecs.decode(encoded)
    assert found.values.dtype == dtype
    np.testing.assert_array_equal(found.values, column.values)


def waveforms(dtype: str, shapes: st.SearchStrategy) -> st.SearchStrategy:
    """Noise of any amplitude: steps, constants and quiet rows come out of shrinking ranges."""
    info = np.iinfo(dtype)

    def with_range(limits):
        low, high = sorted(limits)
        return hnp.arrays(dtype, shapes, elements=st.integers(low, high), fill=st.integers(low, high))

    edge = st.integers(int(info.min), int(info.max))
    return st.tuples(edge, edge).flatmap(with_range)


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8"])
def test_every_row_is_restored(dtype):
    shapes = st.tuples(st.integers(0, 4), st.integers(0, 300))
    bits = np.dtype(dtype).itemsize * 8
    narrow = dtype if bits <= 32 else "i4"

    @settings(max_examples=60, deadline=None)
    @given(waveforms(narrow, shapes))
    def check(values):
        values = values.astype(dtype) if bits <= 32 else np.abs(values.astype("i8")).astype(dtype)
        candidates = [Uleb128ZigzagDiff()] if bits <= 32 or values.size == 0 or values.max() < 1 << 31 else []
        if bits <= 16:
            candidates.append(RadwareSigcompress.suited_to(values))
        for codec in candidates:
            found = codecs.decode(codecs.encode(lh5.Array(values), codec))
            assert found.values.dtype == values.dtype
            np.testing.assert_array_equal(found.values, values)

    check()


@pytest.mark.parametrize("name", ["uleb128_zigzag_diff", "radware_sigcompress"])
def test_ragged_rows_are_restored(name):
    rng = np.random.default_rng(0)
    lengths = np.array([0, 1, 2, 0, 47, 48, 49, 128, 129, 5000, 0])
    samples = np.concatenate([rng.integers(0, 2 ** rng.integers(1, 16), n) for n in lengths]).astype("u2")
    column = lh5.VectorOfVectors(samples, lengths.cumsum(), {"units": "ADC"})
    encoded = codecs.encode(column, codecs.suited(name, samples))
    assert encoded.attrs == {"units": "ADC"}
    for picked in (encoded, encoded.rows(np.array([9, 0, 4]))):
        found = codecs.decode(picked)
        assert found.flattened_data.dtype == np.uint16
        expected = column if picked is encoded else column.rows(np.array([9, 0, 4]))
        np.testing.assert_array_equal(found.flattened_data, expected.flattened_data)
        np.testing.assert_array_equal(found.cumulative_length, expected.cumulative_length)


def test_incompressible_rows_are_restored():
    """The reference encoder writes past its buffer here and dies."""
    rng = np.random.default_rng(0)
    rows = [rng.integers(0, 65536, (20, 3000)), np.tile([0, 65535], (20, 1500)), rng.integers(0, 65536, (500, 3))]
    for row in rows:
        values = row.astype("u2")
        encoded = codecs.encode(lh5.Array(values), RadwareSigcompress(-32768))
        assert len(encoded.encoded_data.flattened_data) > values.nbytes
        np.testing.assert_array_equal(codecs.decode(encoded).values, values)


def test_codecs_refuse_what_they_cannot_restore():
    cases = [
        (np.full((1, 5), 40000, "u2"), RadwareSigcompress(0), "do not fit into 16 bits"),
        (np.full((1, 5), 150000, "i4"), RadwareSigcompress(-32768), "do not fit into 16 bits"),
        (np.zeros((1, 32768), "i2"), RadwareSigcompress(0), "a row of 32768 samples"),
        (np.zeros((1, 5)), RadwareSigcompress(0), "holds integers, not float64"),
        (np.zeros((1, 5)), Uleb128ZigzagDiff(), "holds integers, not float64"),
        (np.full((1, 5), 1 << 31, "i8"), Uleb128ZigzagDiff(), "holds 32-bit samples"),
        (np.zeros((1, 5, 2), "i2"), Uleb128ZigzagDiff(), r"needs \(n_rows, n_samples\)"),
    ]
    for values, codec, message in cases:
        with pytest.raises(LH5Error, match=message):
            codecs.encode(lh5.Array(values), codec)
    nested = lh5.VectorOfVectors(lh5.VectorOfVectors(np.zeros(2, "i2"), np.array([2])), np.array([1]))
    with pytest.raises(LH5Error, match="vectors of vectors"):
        codecs.encode(nested, Uleb128ZigzagDiff())
    with pytest.raises(LH5Error, match="codec 'mp3' is not known"):
        codecs.codec("mp3")


@pytest.mark.parametrize("name", ["uleb128_zigzag_diff", "radware_sigcompress"])
def test_damaged_bytes_never_crash(name):
    rng = np.random.default_rng(0)
    values = (15000 + rng.normal(0, 5, (4, 400))).astype("u2")
    encoded = codecs.encode(lh5.Array(values), codecs.suited(name, values))
    data = encoded.encoded_data
    n_found = n_told = 0
    for trial in range(400):
        damaged = data.flattened_data.copy()
        damaged[rng.integers(0, len(damaged))] ^= 1 << rng.integers(0, 8)
        ends = data.cumulative_length.copy()
        if trial % 2:
            ends[rng.integers(0, 3)] += rng.integers(-8, 8)
        hurt = lh5.EncodedArray(lh5.VectorOfVectors(damaged, ends), 400, encoded.codec, encoded.dtype)
        try:
            assert codecs.decode(hurt).values.shape == (4, 400)
        except LH5Error as error:
            n_found += 1
            message = str(error)
            n_told += "does not decode to 400 samples" in message
    assert n_found == n_told > 100
    wide = codecs.encode(lh5.Array(np.full((1, 4), 70000, "i4")), Uleb128ZigzagDiff())
    wide.dtype = np.dtype("u1")
    with pytest.raises(LH5Error, match="recorded as uint8"):
        codecs.decode(wide)


def test_type_of_samples_without_a_record_of_it():
    values = np.array([[1, 2, 3]], "i4")
    for codec, dtype in [
        (Uleb128ZigzagDiff(), "i4"),
        (RadwareSigcompress(0), "i2"),
        (RadwareSigcompress(-32768), "u2"),
        (RadwareSigcompress(-5), "i4"),
    ]:
        encoded = codecs.encode(lh5.Array(values), codec)
        encoded.dtype = None
        found = codecs.decode(encoded)
        assert found.values.dtype == dtype
        np.testing.assert_array_equal(found.values, values)


def test_best_codec_follows_the_data():
    rng = np.random.default_rng(0)
    # noise on a slope, as behind a pulse: the upper and lower bytes of samples both vary
    quiet = (15000 + 2 * np.arange(1000) + rng.normal(0, 4, (100, 1000))).round()
    assert codecs.best(lh5.Array(quiet.astype("u2"))).name == "radware_sigcompress"
    sums = (8 * (15000 + 2 * np.arange(1000)) + rng.normal(0, 11, (100, 1000))).round()
    assert codecs.best(lh5.Array(sums.astype("u4"))).name == "uleb128_zigzag_diff"
    assert codecs.best(lh5.Array(quiet)) is None
    assert codecs.best(lh5.Array(np.zeros((100, 1000), "u2"))) is None  # deflate packs constants better
    assert codecs.best(lh5.Array(rng.integers(0, 65536, (9, 100)).astype("u2"))) is None
    long = (np.arange(40000) + rng.normal(0, 4, (2, 40000))).astype("i2")
    assert codecs.best(lh5.Array(long)).name == "uleb128_zigzag_diff"


def test_batches_and_threads_do_not_change_the_bytes():
    from concurrent.futures import ThreadPoolExecutor

    values = (15000 + np.random.default_rng(0).normal(0, 5, (300, 4000))).astype("u2")
    for name in ("uleb128_zigzag_diff", "radware_sigcompress"):
        codec = codecs.suited(name, values)
        alone = codecs.encode(lh5.Array(values), codec)
        with ThreadPoolExecutor(3) as pool:
            together = codecs.encode(lh5.Array(values), codec, pool)
            np.testing.assert_array_equal(codecs.decode(together, pool).values, values)
        assert alone.encoded_data.flattened_data.tobytes() == together.encoded_data.flattened_data.tobytes()
