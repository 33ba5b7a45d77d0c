"""radware_sigcompress: blocks of values or steps in as few bits as their range needs.

The algorithm is by D. C. Radford (2018).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pygama_core.errors import LH5Error
from pygama_core.lh5.codecs import radware_kernels as kernels
from pygama_core.lh5.codecs.uleb128 import narrowed

INT16 = np.iinfo(np.int16)


@dataclass(frozen=True)
class RadwareSigcompress:
    """Lossless for rows of up to 32767 samples that, shifted, fit into 16 bits with sign.

    Parameters
    ----------
    codec_shift
        is added to every sample before encoding: -32768 for uint16
    """

    codec_shift: int = 0
    name: ClassVar[str] = "radware_sigcompress"

    @classmethod
    def suited_to(cls, samples: np.ndarray) -> RadwareSigcompress:
        """Return the codec whose shift fits a type of up to 16 bits, or else the range of these samples."""
        if samples.dtype.itemsize == 2 and samples.dtype.kind == "u":
            return cls(-32768)
        if samples.dtype.itemsize <= 2 or not samples.size or samples.dtype.kind not in "iu":
            return cls(0)
        return cls(-((int(samples.min()) + int(samples.max()) + 1) // 2))

    @property
    def attrs(self) -> dict[str, str | int]:
        """What is stored beside the data."""
        return {"codec": self.name, "codec_shift": self.codec_shift}

    def prepare(self, samples: np.ndarray, where: str) -> np.ndarray:
        """Return the shifted samples as int16; raise LH5Error if they do not fit."""
        if samples.dtype.kind not in "iu":
            raise LH5Error(f"{where}: {self.name} holds integers, not {samples.dtype}; write it without a codec")
        if samples.dtype == np.uint16 and self.codec_shift == INT16.min:
            return (samples ^ np.uint16(0x8000)).view(np.int16)
        if samples.size:
            low, high = int(samples.min()) + self.codec_shift, int(samples.max()) + self.codec_shift
            if low < INT16.min or high > INT16.max:
                raise LH5Error(
                    f"{where}: samples {samples.min()} … {samples.max()} with codec_shift {self.codec_shift} do not "
                    f"fit into 16 bits, which {self.name} needs; choose another shift or uleb128_zigzag_diff"
                )
        return (
            (samples.astype(np.int64) + self.codec_shift).astype(np.int16) if self.codec_shift else samples.astype("i2")
        )

    def check_lengths(self, lengths: np.ndarray, where: str) -> None:
        """Raise LH5Error for a row too long for the 16-bit count."""
        if len(lengths) and lengths.max() > kernels.MAX_SAMPLES:
            raise LH5Error(
                f"{where}: a row of {lengths.max()} samples; {self.name} holds at most {kernels.MAX_SAMPLES}; use "
                f"uleb128_zigzag_diff"
            )

    def max_bytes(self, n_samples: int, n_rows: int) -> int:
        """Return the most bytes that these samples can need: a block ends early only at the end of its row."""
        return 2 * n_samples + 8 * (n_samples // kernels.WINDOW + n_rows) + 20 * n_rows + 8

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
        # the flip of the highest bit, which makes 16 bits with sign of those without, is a sum with 32768
        shift = -INT16.min if self.codec_shift == INT16.min else 0
        return int(kernels.decode(data, *spans, shift, out, *out_spans))

    def sample_dtype(self, recorded: np.dtype | None) -> np.dtype:
        """Return the type of decoded samples: the one recorded, else what the shift tells."""
        if recorded is not None and recorded.kind in "iu":
            return recorded
        return np.dtype({0: np.int16, INT16.min: np.uint16}.get(self.codec_shift, np.int32))

    def kernel_dtype(self, dtype: np.dtype) -> np.dtype:
        """Return the type to which the kernel decodes."""
        return np.dtype(np.int16)

    def finish(self, decoded: np.ndarray, dtype: np.dtype, where: str) -> np.ndarray:
        """Return samples of ``dtype``; raise LH5Error if one does not fit."""
        if self.codec_shift == INT16.min:
            return narrowed(decoded.view(np.uint16), dtype, where)
        if self.codec_shift == 0:
            return narrowed(decoded, dtype, where)
        return narrowed(decoded.astype(np.int64) - self.codec_shift, dtype, where)
