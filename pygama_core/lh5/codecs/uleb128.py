"""uleb128_zigzag_diff: each sample is the difference to the one before, in one to five bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pygama_core.errors import LH5Error
from pygama_core.lh5.codecs import uleb128_kernels as kernels

ANY = (-(1 << 62), 1 << 62)  # 32-bit sums may wrap, as those of samples without sign do


@dataclass(frozen=True)
class Uleb128ZigzagDiff:
    """Lossless for all integers of up to 32 bits; small for quiet waveforms."""

    name: ClassVar[str] = "uleb128_zigzag_diff"

    @property
    def attrs(self) -> dict[str, str | int]:
        """What is stored beside the data."""
        return {"codec": self.name}

    def prepare(self, samples: np.ndarray, where: str) -> np.ndarray:
        """Return the samples as the kernel takes them; raise LH5Error if 32 bits cannot hold them."""
        if samples.dtype.kind not in "iu":
            raise LH5Error(f"{where}: {self.name} holds integers, not {samples.dtype}; write it without a codec")
        if samples.dtype == np.uint16:
            return samples
        if samples.dtype == np.uint32:
            return samples.view(np.int32)  # the same bits, as the sums wrap
        limits = np.iinfo(np.int32)
        if samples.dtype.itemsize == 8 and len(samples) and (samples.min() < limits.min or samples.max() > limits.max):
            raise LH5Error(
                f"{where}: {self.name} holds 32-bit samples, found {samples.min()} … {samples.max()}; "
                f"write it without a codec"
            )
        return samples.astype(np.int32, copy=False)

    def check_lengths(self, lengths: np.ndarray, where: str) -> None:
        """Rows of any length are fine."""

    def max_bytes(self, n_samples: int, n_rows: int) -> int:
        """Return the most bytes that these samples can need."""
        return kernels.MAX_BYTES * n_samples

    def encode_rows(
        self, samples: np.ndarray, starts: np.ndarray, ends: np.ndarray, out: np.ndarray, sizes: np.ndarray
    ) -> int:
        """Encode prepared rows; return the bytes used."""
        return int(kernels.encode(samples, starts, ends, out, sizes))

    def decode_rows(
        self,
        data: np.ndarray,
        spans: tuple[np.ndarray, np.ndarray],
        out: np.ndarray,
        out_spans: tuple[np.ndarray, np.ndarray],
    ) -> int:
        """Decode rows; return the first damaged one, -1 if none."""
        info = np.iinfo(out.dtype)
        limits = ANY if out.dtype.itemsize == 4 else (int(info.min), int(info.max))
        return int(kernels.decode(data, *spans, limits, out, *out_spans))

    def sample_dtype(self, recorded: np.dtype | None) -> np.dtype:
        """Return the type of decoded samples: the one recorded, else int32."""
        return recorded if recorded is not None and recorded.kind in "iu" else np.dtype(np.int32)

    def kernel_dtype(self, dtype: np.dtype) -> np.dtype:
        """Return the type to which the kernel decodes samples that were of ``dtype``."""
        return dtype if dtype in (np.uint16, np.int16) else np.dtype(np.int32)

    def finish(self, decoded: np.ndarray, dtype: np.dtype, where: str) -> np.ndarray:
        """Turn what the kernel decoded into samples of ``dtype``; raise LH5Error if they do not fit."""
        if dtype == np.uint32:
            return decoded.view(np.uint32)
        return narrowed(decoded, dtype, where)


def narrowed(values: np.ndarray, dtype: np.dtype, where: str) -> np.ndarray:
    """Return integers as another type; raise LH5Error if one does not fit."""
    if values.dtype == dtype:
        return values
    limits = np.iinfo(dtype)
    if len(values) and (values.min() < limits.min or values.max() > limits.max):
        raise LH5Error(f"{where}: decoded {values.min()} … {values.max()}, recorded as {dtype}; the object is damaged")
    return values.astype(dtype)
