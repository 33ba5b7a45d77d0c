"""Compiled loops of radware_sigcompress.

The algorithm is by D. C. Radford (2018), first published as C code under the MIT license and printed in the LEGEND data
format specification; this is an implementation from its bit-level description.

Indices are unsigned, because numba turns signed ones into two cases (from the start, from the end), and functions get
whole arrays with places in them, because each slice costs two atomic operations on its reference count.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pygama_core.accelerate import jit

WINDOW = 48  # samples that decide a block's mode and bits
MAX_BLOCK = 128
STEP_START = 16000  # where the trackers of the steps begin
MAX_SAMPLES = 32767  # the count is read back as a signed 16-bit number
STEPS = 32  # is added to the number of bits of a block of steps

U1, U7, U8, U16 = np.uint64(1), np.uint64(7), np.uint64(8), np.uint64(16)


@jit("UniTuple(i8, 2)(i2[::1], u8, u8)")
def _range_of(y: np.ndarray, start: Any, end: Any) -> Any:
    low = np.int16(32767)
    high = np.int16(-32768)
    for i in range(start, end):
        low = min(low, y[i])
        high = max(high, y[i])
    return np.int64(low), np.int64(high)


@jit("UniTuple(i8, 2)(i2[::1], u8, u8)")
def _range_of_steps(y: np.ndarray, start: Any, end: Any) -> Any:
    """Return the smallest and largest of y[i] - y[i - 1] for i in start … end - 1."""
    low = np.int32(STEP_START)
    high = np.int32(-STEP_START)
    for i in range(start, end):
        step = np.int32(np.int32(y[i]) - np.int32(y[i - U1]))
        low = min(low, step)
        high = max(high, step)
    return np.int64(low), np.int64(high)


@jit("u8(u1[::1], u8, i8)")
def _put_word(out: np.ndarray, position: Any, value: Any) -> Any:
    out[position] = np.uint8((value >> 8) & 255)
    out[position + U1] = np.uint8(value & 255)
    return position + np.uint64(2)


@jit("Tuple((u8, i8, i8))(i2[::1], u8, u8, b1, i8, i8)")
def _extend(y: np.ndarray, end: Any, last: Any, of_steps: bool, low: Any, high: Any) -> Any:
    """Lengthen a block from ``end`` up to ``last`` while its range fits its bits; return its end, bits, and minimum.

    ``low`` and ``high`` are the range of the values, or of the steps if ``of_steps``, before ``end``.
    """
    n_bits = 2
    while high - low > (1 << n_bits) - 1:
        n_bits += 1
    limit = (1 << n_bits) - 1
    while end + U16 <= last:
        if of_steps:
            a, b = _range_of_steps(y, end, end + U16)
        else:
            a, b = _range_of(y, end, end + U16)
        a, b = min(a, low), max(b, high)
        if b - a > limit:
            break
        low, high = a, b
        end += U16
    while end < last:
        value = np.int64(y[end])
        if of_steps:
            value -= np.int64(y[end - U1])
        a, b = min(value, low), max(value, high)
        if b - a > limit:
            break
        low, high = a, b
        end += U1
    return end, n_bits, low


@jit("u8(i2[::1], u8, u8, b1, i8, i8, u1[::1], u8)")
def _pack(  # noqa: PLR0913  the state of the stream
    y: np.ndarray, start: Any, end: Any, of_steps: bool, low: Any, n_bits: Any, out: np.ndarray, position: Any
) -> Any:
    """Write fields of n_bits, most significant bit first, padded to whole words; return the end.

    The fields are y[i] - low, or y[i] - y[i - 1] - low if ``of_steps``. Up to eight bytes behind the end are written.
    """
    bits = np.uint64(n_bits)
    per = np.uint64(56 // n_bits)  # fields that are put together before bytes are written
    held = np.uint64(0)  # left-justified bits not yet complete to a byte
    n_held = np.uint64(0)
    first = position
    i = start
    while i < end:
        stop = min(end, i + per)
        word = np.uint64(0)
        if of_steps:
            for k in range(i, stop):
                word = word << bits | np.uint64(np.int64(y[k]) - np.int64(y[k - U1]) - low)
        else:
            for k in range(i, stop):
                word = word << bits | np.uint64(np.int64(y[k]) - low)
        n_held += (stop - i) * bits
        held |= word << (np.uint64(64) - n_held)
        for k in range(8):
            out[position + np.uint64(k)] = np.uint8(held >> np.uint64(56 - 8 * k))
        position += n_held >> np.uint64(3)
        held <<= n_held & ~U7  # the bits that complete no byte stay
        n_held &= U7
        i = stop
    if n_held:
        position += U1  # its bits are written already, with zeros behind them
    if (position - first) & U1:
        out[position] = 0
        position += U1
    return position


@jit("u8(i2[::1], u8, u8, u1[::1], u8)")
def _put_block(y: np.ndarray, start: Any, row_end: Any, out: np.ndarray, position: Any) -> Any:
    """Write the block that begins at ``start``; return where the output ends."""
    end = min(start + np.uint64(WINDOW), row_end)
    last = min(start + np.uint64(MAX_BLOCK), row_end)
    low, high = _range_of(y, start, end)
    step_low, step_high = _range_of_steps(y, start + U1, end)
    of_steps = high - low > step_high - step_low
    if of_steps:
        end, n_bits, low = _extend(y, end, last, True, step_low, step_high)
    else:
        end, n_bits, low = _extend(y, end, last, False, low, high)
    position = _put_word(out, position, np.int64(end - start))
    position = _put_word(out, position, n_bits + STEPS if of_steps else n_bits)
    if of_steps:
        position = _put_word(out, position, np.int64(y[start]))
        start += U1
    position = _put_word(out, position, low)
    return _pack(y, start, end, of_steps, low, n_bits, out, position)


@jit("i8(i2[::1], i8[::1], i8[::1], u1[::1], i8[::1])")
def encode(samples: np.ndarray, starts: np.ndarray, ends: np.ndarray, out: np.ndarray, sizes: np.ndarray) -> int:
    """Encode rows samples[starts[i]:ends[i]], already shifted, one after another; return the bytes used.

    Parameters
    ----------
    samples : (n,) int16
    starts, ends : (n_rows,) int64; rows of at most MAX_SAMPLES
    out : uint8; needs 2 bytes for each sample, 8 for each block begun, 12 for each row, and 8 more
    sizes : (n_rows,) int64; gets the bytes of each row
    """
    position = np.uint64(0)
    for row in range(len(starts)):
        first = position
        start, end = np.uint64(starts[row]), np.uint64(ends[row])
        position = _put_word(out, position, np.int64(end - start))
        while start < end:
            header = position
            position = _put_block(samples, start, end, out, position)
            start += np.uint64(out[header]) << U8 | np.uint64(out[header + U1])
        if (position - first) & np.uint64(3):
            position = _put_word(out, position, np.int64(0))
        sizes[row] = np.int64(position - first)
    return int(position)


@jit("i8(Array(u1, 1, 'C', True), u8)")
def _word(data: np.ndarray, position: Any) -> Any:
    return np.int64(data[position]) << 8 | np.int64(data[position + U1])


@jit("u8(Array(u1, 1, 'C', True), u8)", inline="always")
def _eight_bytes(data: np.ndarray, position: Any) -> Any:
    word = np.uint64(0)
    for k in range(8):
        word |= np.uint64(data[position + np.uint64(k)]) << np.uint64(56 - 8 * k)
    return word


@jit("u8(Array(u1, 1, 'C', True), u8, u8, u8)")
def _field(data: np.ndarray, bit: Any, n_bits: Any, limit: Any) -> Any:
    """Return the field at a bit; no byte from ``limit`` on is touched."""
    p = bit >> np.uint64(3)
    if p + U8 <= limit:
        return (_eight_bytes(data, p) << (bit & U7)) >> (np.uint64(64) - n_bits)
    word = np.uint64(0)
    for k in range(3):
        word <<= U8
        if p + np.uint64(k) < limit:
            word |= np.uint64(data[p + np.uint64(k)])
    return word >> (np.uint64(24) - (bit & U7) - n_bits) & ((U1 << n_bits) - U1)


@jit("void(Array(u1, 1, 'C', True), u8, u8, u8, i8, i2[::1], u8, u8)")
def _read_values(  # noqa: PLR0913  the state of the stream
    data: np.ndarray, position: Any, limit: Any, n_bits: Any, base: Any, y: np.ndarray, start: Any, end: Any
) -> None:
    """Read fields of n_bits from ``position`` on, add ``base``, write y[start:end]."""
    down, half = np.uint64(64) - n_bits, (n_bits & U1) << np.uint64(2)
    i, p = start, position
    if n_bits <= U8:
        while i + U8 <= end and p + U8 <= limit:  # eight fields are n_bits bytes
            word = _eight_bytes(data, p)
            for k in range(8):
                y[i + np.uint64(k)] = np.int16(np.int64(word >> down) + base)
                word <<= n_bits
            p += n_bits
            i += U8
    else:
        while i + U8 <= end and p + U16 <= limit:
            word, later = _eight_bytes(data, p), _eight_bytes(data, p + (n_bits >> U1)) << half
            for k in range(4):
                y[i + np.uint64(k)] = np.int16(np.int64(word >> down) + base)
                y[i + np.uint64(k + 4)] = np.int16(np.int64(later >> down) + base)
                word <<= n_bits
                later <<= n_bits
            p += n_bits
            i += U8
    bit = p << np.uint64(3)
    while i < end:
        y[i] = np.int16(np.int64(_field(data, bit, n_bits, limit)) + base)
        bit += n_bits
        i += U1


@jit("void(Array(u1, 1, 'C', True), u8, u8, u8, i8, i2[::1], u8, u8)")
def _read_steps(  # noqa: PLR0913  the state of the stream
    data: np.ndarray, position: Any, limit: Any, n_bits: Any, base: Any, y: np.ndarray, start: Any, end: Any
) -> None:
    """Read fields of n_bits from ``position`` on, add ``base``, write their sums after y[start - 1] to y[start:end]."""
    down, half = np.uint64(64) - n_bits, (n_bits & U1) << np.uint64(2)
    i, p = start, position
    value = np.int64(y[start - U1])
    if n_bits <= U8:
        while i + U8 <= end and p + U8 <= limit:
            word = _eight_bytes(data, p)
            for k in range(8):
                value += np.int64(word >> down) + base
                y[i + np.uint64(k)] = np.int16(value)
                word <<= n_bits
            p += n_bits
            i += U8
    else:
        while i + U8 <= end and p + U16 <= limit:
            for k in range(8):
                if k == 4:
                    word = _eight_bytes(data, p + (n_bits >> U1)) << half
                elif k == 0:
                    word = _eight_bytes(data, p)
                value += np.int64(word >> down) + base
                y[i + np.uint64(k)] = np.int16(value)
                word <<= n_bits
            p += n_bits
            i += U8
    bit = p << np.uint64(3)
    while i < end:
        value += np.int64(_field(data, bit, n_bits, limit)) + base
        y[i] = np.int16(value)
        bit += n_bits
        i += U1


@jit("b1(Array(u1, 1, 'C', True), u8, u8, i8, i2[::1], u8, u8)")
def _decode_row(  # noqa: PLR0913  the state of the stream
    data: np.ndarray, position: Any, limit: Any, shift: Any, y: np.ndarray, start: Any, end: Any
) -> bool:
    """Decode data[position:limit] to y[start:end] + shift; return whether it held exactly so many samples."""
    if position + np.uint64(2) > limit or np.uint64(_word(data, position)) != end - start:
        return False
    position += np.uint64(2)
    while start < end:
        if position + U8 > limit:  # the shortest block, padded, has eight bytes
            return False
        n_block, mode = np.uint64(_word(data, position)), np.uint64(_word(data, position + np.uint64(2)))
        base = _word(data, position + np.uint64(4))
        position += np.uint64(6)
        of_steps = mode > np.uint64(STEPS)
        n_bits = mode - np.uint64(STEPS) if of_steps else mode
        if n_block < U1 or n_block > end - start or n_bits < U1 or n_bits > U16:
            return False
        stop = start + n_block
        if of_steps:
            y[start] = np.int16(base + shift)
            start += U1
            base = np.int64(np.int16(_word(data, position)))
            position += np.uint64(2)
        block_end = position + (((stop - start) * n_bits + np.uint64(15)) >> np.uint64(4) << U1)
        if block_end > limit:
            return False
        if of_steps:
            _read_steps(data, position, limit, n_bits, base, y, start, stop)
        else:
            _read_values(data, position, limit, n_bits, base + shift, y, start, stop)
        position, start = block_end, stop
    return True


@jit("i8(Array(u1, 1, 'C', True), i8[::1], i8[::1], i8, i2[::1], i8[::1], i8[::1])")
def decode(  # noqa: PLR0913
    data: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    shift: int,
    out: np.ndarray,
    out_starts: np.ndarray,
    out_ends: np.ndarray,
) -> int:
    """Decode the rows data[starts[i]:ends[i]] to out[out_starts[i]:out_ends[i]], plus ``shift`` modulo 2**16.

    Returns the first row that has not the samples expected or ends early; -1 if none.
    """
    for row in range(len(starts)):
        source = np.uint64(starts[row]), np.uint64(ends[row])
        target = np.uint64(out_starts[row]), np.uint64(out_ends[row])
        if not _decode_row(data, source[0], source[1], shift, out, target[0], target[1]):
            return row
    return -1
