"""Waveform codecs: rows of integers to bytes and back, each row by itself.

A codec is frozen; its fields are its stored attributes. It refuses what it cannot restore. Byte for byte the output is
that of the reference implementations (where theirs is defined).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from pygama_core.errors import LH5Error
from pygama_core.lh5.types import Array, EncodedArray, VectorOfVectors

NAMES = ("radware_sigcompress", "uleb128_zigzag_diff", "varlend_diff1")  # the last is an old name of Julia's
SAMPLES_PER_BATCH = 1 << 18
MIN_BATCHES = 4  # fewer are done before other threads have woken up
TRIAL_ROWS = 64  # rows on which the codecs are compared


class Codec(Protocol):
    """What encoding and decoding need of a codec."""

    @property
    def name(self) -> str: ...
    @property
    def attrs(self) -> dict[str, str | int]: ...
    def prepare(self, samples: np.ndarray, where: str) -> np.ndarray: ...
    def check_lengths(self, lengths: np.ndarray, where: str) -> None: ...
    def max_bytes(self, n_samples: int, n_rows: int) -> int: ...
    def encode_rows(
        self, samples: np.ndarray, starts: np.ndarray, ends: np.ndarray, out: np.ndarray, sizes: np.ndarray
    ) -> int: ...
    def decode_rows(
        self,
        data: np.ndarray,
        spans: tuple[np.ndarray, np.ndarray],
        out: np.ndarray,
        out_spans: tuple[np.ndarray, np.ndarray],
    ) -> int: ...
    def sample_dtype(self, recorded: np.dtype | None) -> np.dtype: ...
    def kernel_dtype(self, dtype: np.dtype) -> np.dtype: ...
    def finish(self, decoded: np.ndarray, dtype: np.dtype, where: str) -> np.ndarray: ...


def codec(name: str, parameters: Mapping[str, Any] | None = None, where: str = "codec") -> Codec:
    """Return the codec of a stored name and its stored parameters; raise LH5Error for a name not known."""
    if name == "radware_sigcompress":
        from pygama_core.lh5.codecs.radware import RadwareSigcompress

        # production stores the shift as a float
        return RadwareSigcompress(int((parameters or {}).get("codec_shift", 0)))
    if name in NAMES:
        from pygama_core.lh5.codecs.uleb128 import Uleb128ZigzagDiff

        return Uleb128ZigzagDiff()
    raise LH5Error(f"{where}: codec {name!r} is not known; known are {', '.join(NAMES)}")


def suited(name: str, samples: np.ndarray) -> Codec:
    """Return the codec of this name with the parameters that suit the samples' type."""
    if name == "radware_sigcompress":
        from pygama_core.lh5.codecs.radware import RadwareSigcompress

        return RadwareSigcompress.suited_to(samples)
    return codec(name)


def best(column: Array | VectorOfVectors) -> Codec | None:
    """Return the lossless codec that makes a column smallest, judged by its first rows; None if none beats deflate.

    Only codecs that hold every value of the column's type are considered, so that later rows cannot fail.
    """
    from pygama_core.lh5.filters import DEFLATE, SHUFFLE, Pipeline

    dtype, trial = column.dtype, column.rows(slice(0, TRIAL_ROWS))
    samples = trial.values if isinstance(trial, Array) else trial.flattened_data
    if dtype.kind not in "iu" or dtype.itemsize > 4 or not isinstance(samples, np.ndarray) or not samples.size:
        return None
    if isinstance(column, Array) and column.values.ndim != 2:
        return None
    sizes: dict[int, Codec | None] = {len(Pipeline((SHUFFLE, DEFLATE), dtype.itemsize).encode(samples.copy())): None}
    candidates = ["uleb128_zigzag_diff"] if dtype.itemsize == 4 else ["uleb128_zigzag_diff", "radware_sigcompress"]
    lengths = _spans(column)[2]
    for name in candidates:
        candidate = suited(name, samples)
        # ragged rows may grow beyond the limit of radware's count later on
        if name == "radware_sigcompress" and (isinstance(column, VectorOfVectors) or lengths.max() > 32767):
            continue
        sizes[len(encode(trial, candidate).encoded_data.flattened_data)] = candidate
    return sizes[min(sizes)]


def _spans(column: Array | VectorOfVectors) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return first and end sample and length of each row in the flat samples."""
    if isinstance(column, VectorOfVectors):
        return column.starts, column.cumulative_length, column.lengths
    n_rows, n_samples = column.values.shape
    ends = np.arange(1, n_rows + 1, dtype=np.int64) * n_samples
    return ends - n_samples, ends, np.full(n_rows, n_samples, np.int64)


def encode(
    column: Array | VectorOfVectors, codec: Codec, pool: ThreadPoolExecutor | None = None, where: str = "waveforms"
) -> EncodedArray:
    """Encode equal-size or ragged rows of integers.

    Raises
    ------
    LH5Error
        if the codec cannot restore the samples
    """
    batches = list(encode_batches(column, codec, pool, where))
    data = np.concatenate([np.empty(0, np.uint8), *(data for data, _ in batches)])
    sizes = np.concatenate([np.empty(0, np.int64), *(sizes for _, sizes in batches)])
    return EncodedArray(
        VectorOfVectors(data, np.cumsum(sizes)),
        samples_per_row(column),
        dict(codec.attrs),
        column.dtype,
        dict(column.attrs),
    )


def samples_per_row(column: Array | VectorOfVectors) -> int | np.ndarray:
    """Return the samples of every row: one number if all have as many."""
    return column.lengths if isinstance(column, VectorOfVectors) else int(column.values.shape[1])


def encode_batches(
    column: Array | VectorOfVectors, codec: Codec, pool: ThreadPoolExecutor | None = None, where: str = "waveforms"
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the bytes of some rows after others and the number of bytes of each of them; the next are on their way.

    Raises
    ------
    LH5Error
        if the codec cannot restore the samples
    """
    flat = _samples_of(column, where)
    starts, ends, lengths = _spans(column)
    codec.check_lengths(lengths, where)

    def run(rows: slice) -> tuple[np.ndarray, np.ndarray]:
        first, last = int(starts[rows.start]), int(ends[rows.stop - 1])
        # a batch at a time, so that the prepared samples stay in the cache
        samples = np.ascontiguousarray(codec.prepare(flat[first:last], where))
        out = np.empty(codec.max_bytes(last - first, rows.stop - rows.start), np.uint8)
        sizes = np.empty(rows.stop - rows.start, np.int64)
        used = codec.encode_rows(samples, starts[rows] - first, ends[rows] - first, out, sizes)
        return out[:used], sizes

    yield from _over(pool, run, _batches(lengths))


def _samples_of(column: Array | VectorOfVectors, where: str) -> np.ndarray:
    """Return the samples of all rows one after another; raise LH5Error for what are not rows of numbers."""
    if isinstance(column, VectorOfVectors):
        if isinstance(column.flattened_data, VectorOfVectors):
            raise LH5Error(f"{where}: rows are vectors of vectors; a codec needs rows of integers")
        return column.flattened_data
    if column.values.ndim != 2:
        raise LH5Error(f"{where}: array of shape {column.values.shape}; a codec needs (n_rows, n_samples)")
    return column.values.reshape(-1)


def decode(
    encoded: EncodedArray, pool: ThreadPoolExecutor | None = None, where: str = "waveforms"
) -> Array | VectorOfVectors:
    """Decode to equal-size or ragged rows of the samples' true type where it is known, else int32.

    Raises
    ------
    LH5Error
        if the codec is not known or a row is damaged
    """
    codec_ = codec(str(encoded.codec.get("codec")), encoded.codec, where)
    dtype = codec_.sample_dtype(encoded.dtype)
    lengths = encoded.lengths
    ends = np.cumsum(lengths)
    spans = np.ascontiguousarray(ends - lengths), ends
    data = np.ascontiguousarray(encoded.encoded_data.flattened_data)
    starts, stops = encoded.encoded_data.starts, encoded.encoded_data.cumulative_length
    out = np.empty(int(ends[-1]) if len(ends) else 0, codec_.kernel_dtype(dtype))

    def run(rows: slice) -> int:
        bad = codec_.decode_rows(data, (starts[rows], stops[rows]), out, (spans[0][rows], spans[1][rows]))
        return bad if bad < 0 else bad + rows.start

    for bad in _over(pool, run, _batches(lengths)):
        if bad >= 0:
            raise LH5Error(
                f"{where}: row {bad} does not decode to {lengths[bad]} samples of {dtype} by {codec_.name}; "
                f"the object is damaged"
            )
    samples = codec_.finish(out, dtype, where)
    if isinstance(encoded.decoded_size, int):
        return Array(samples.reshape(len(lengths), encoded.decoded_size), encoded.attrs)
    return VectorOfVectors(samples, ends, encoded.attrs)


def _batches(lengths: np.ndarray) -> list[slice]:
    """Cut rows into batches of about SAMPLES_PER_BATCH samples."""
    ends = np.cumsum(lengths)
    marks = np.searchsorted(ends, np.arange(SAMPLES_PER_BATCH, int(ends[-1]) if len(ends) else 0, SAMPLES_PER_BATCH))
    bounds = np.unique([0, *(marks + 1).tolist(), len(lengths)])
    return [slice(int(a), int(b)) for a, b in pairwise(bounds)]


def _over(pool: ThreadPoolExecutor | None, run: Callable[[slice], Any], batches: list[slice]) -> Iterable[Any]:
    return map(run, batches) if pool is None or len(batches) < MIN_BATCHES else pool.map(run, batches)
