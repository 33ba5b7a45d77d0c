"""Deflate blocks of literals: every decoder restores them, and their size is near what the counts allow."""

import importlib
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygama_core.lh5 import filters, huffman

deflate = importlib.import_module("deflate")
isal_zlib = importlib.import_module("isal.isal_zlib")


def noise(kind: str, n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    drawn = {
        "flat": lambda: rng.integers(0, 256, n),
        "normal": lambda: rng.normal(250, 1 + rng.random() * 20, n).round() % 256,
        "constant": lambda: np.full(n, seed % 256),
        "steep": lambda: rng.geometric(0.5, n) % 256,  # ideal codes longer than the limit
        "rare": lambda: rng.random(n) < 1e-3,
    }
    return drawn[kind]().astype(np.uint8)


@given(
    kind=st.sampled_from(["flat", "normal", "constant", "steep", "rare"]),
    n=st.integers(1, 3 * huffman.BLOCK),
    part=st.floats(0, 1),
    seed=st.integers(0, 1000),
)
def test_every_decoder_restores_the_bytes(kind, n, part, seed):
    data = noise(kind, n, seed)
    stored = filters.deflate_noise(data, round(part * n))
    assert zlib.decompress(stored) == data.tobytes()
    assert isal_zlib.decompress(stored) == data.tobytes()
    assert bytes(deflate.zlib_decompress(stored, n)) == data.tobytes()


@pytest.mark.parametrize("n_symbols", [2, 3, 100, 256])
def test_codes_longer_than_the_limit_are_shortened_to_a_complete_set(n_symbols):
    """Counts that grow like Fibonacci numbers have ideal codes as long as there are symbols."""
    counts = np.zeros(huffman.N_LITERALS, np.int64)
    counts[:n_symbols] = [round(1.6 ** min(k, 40)) for k in range(n_symbols)]
    codes, bits = np.zeros(len(counts), np.uint64), np.zeros(len(counts), np.uint64)
    huffman._codes(counts, huffman.MAX_BITS, codes, bits)
    used = bits[bits > 0].astype(int)
    assert len(used) == n_symbols
    assert used.max() <= huffman.MAX_BITS
    assert (2.0**-used).sum() == 1  # Kraft: no code is missing or taken twice


def test_size_is_near_the_entropy():
    data = noise("normal", 8 * huffman.BLOCK, 1)
    share = np.bincount(data) / len(data)
    entropy = -(share[share > 0] * np.log2(share[share > 0])).sum() / 8 * len(data)
    assert entropy < len(filters.deflate_noise(data, len(data))) < 1.03 * entropy


def test_waveform_chunks_take_this_way_whatever_is_loaded():
    rng = np.random.default_rng(2)
    waveforms = (rng.integers(0, 9, (8, 8192)) + 300 * np.arange(8)[:, None]).astype(np.uint16)
    pipeline = filters.Pipeline((filters.SHUFFLE, filters.DEFLATE), 2)
    stored = pipeline.encode(waveforms)
    assert len(stored) < 0.9 * len(filters.deflate(filters.shuffle(waveforms.reshape(-1))))
    out = np.empty(waveforms.nbytes, np.uint8)
    pipeline.decode(stored, 0, waveforms.nbytes, out)
    np.testing.assert_array_equal(out.view(np.uint16).reshape(waveforms.shape), waveforms)
    # repeated rows, as of a dead channel, are left to a compressor that looks for matches, and
    # so are short rows and small chunks, which are not worth loading compiled code
    for others in (waveforms.reshape(-1, 128), waveforms[:1, :4096], waveforms[[0, 1, 0, 2]], 0 * waveforms):
        assert pipeline.encode(others) == filters.deflate(filters.shuffle(others.reshape(-1)))
    padded = waveforms * np.repeat([1, 0], 4).astype(np.uint16)[:, None]  # the last chunk of a dataset
    assert pipeline.encode(padded) != filters.deflate(filters.shuffle(padded.reshape(-1)))
