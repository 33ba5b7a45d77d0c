"""Compiled deflate blocks of literals only: for the noisy bytes of waveforms, where matches are by chance.

Each block has codes of its own, so that a block that holds one waveform's low bytes fits that waveform's baseline.
Sources: RFC 1951, 3.2.7 (blocks with dynamic codes); Moffat and Katajainen, WADS 1995, doi:10.1007/3-540-60220-8_79
(code lengths in place).

Indices are unsigned, because numba turns signed ones into two cases (from the start, from the end).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pygama_core.accelerate import jit

BLOCK = 8192  # [bytes] with one set of codes
HEADER_BYTES = 320  # the most that a block's codes and its end can need
MAX_BITS = 11  # of a code: five codes and the bits of a begun byte fit into 64 bits
N_LITERALS = 257  # bytes and the end of the block
END = 256
RANK_BITS = 9  # of a symbol's number behind its count, where both are sorted
MAX_LENGTH_BITS = 7  # of a code for a code's length
LENGTH_ORDER = np.array([16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15], np.int64)
ZEROS_SHORT, ZEROS_LONG = 17, 18  # runs of 3 to 10 and of 11 to 138 lengths 0

U0, U1, U7, U8 = np.uint64(0), np.uint64(1), np.uint64(7), np.uint64(8)


@jit("void(i8[::1], i8)")
def _sort(a: np.ndarray, n: int) -> None:
    """Sort a[:n] in place, by insertion over shrinking distances."""
    for gap in (57, 23, 10, 4, 1):
        for i in range(gap, n):
            value, k = a[i], np.int64(i)
            while k >= gap and a[k - gap] > value:
                a[k] = a[k - gap]
                k -= gap
            a[k] = value


@jit("void(i8[::1], i8)")
def _depths(a: np.ndarray, n: int) -> None:
    """Turn n >= 2 counts in increasing order into the lengths of their codes, in decreasing order."""
    a[0] += a[1]
    root, leaf = 0, 2
    for i in range(1, n - 1):
        total = 0
        for _ in range(2):
            if leaf >= n or (root < i and a[root] < a[leaf]):
                total += a[root]
                a[root] = i
                root += 1
            else:
                total += a[leaf]
                leaf += 1
        a[i] = total
    a[n - 2] = 0
    for i in range(n - 3, -1, -1):
        a[i] = a[a[i]] + 1
    free, used, depth, root, place = 1, 0, 0, n - 2, n - 1
    while free > 0:
        while root >= 0 and a[root] == depth:
            used += 1
            root -= 1
        while free > used:
            a[place] = depth
            place -= 1
            free -= 1
        free, depth, used = 2 * used, depth + 1, 0


@jit("void(i8[::1], i8, i8)")
def _limit(lengths: np.ndarray, n: int, limit: int) -> None:
    """Shorten codes, given with lengths in decreasing order, to ``limit`` bits by lengthening others."""
    if lengths[0] <= limit:
        return
    room = 1 << limit
    for i in range(n):
        lengths[i] = min(lengths[i], limit)
        room -= 1 << (limit - lengths[i])
    i = 0
    while room < 0:  # the rarest that can still grow does
        while lengths[i] == limit:
            i += 1
        room += 1 << (limit - lengths[i] - 1)
        lengths[i] += 1
    while room > 0:  # that may have been too much, and decoders want every code to be taken
        for i in range(n - 1, -1, -1):
            if 1 << (limit - lengths[i]) <= room:
                room -= 1 << (limit - lengths[i])
                lengths[i] -= 1


@jit("void(i8[::1], i8, u8[::1], u8[::1])")
def _codes(counts: np.ndarray, limit: int, codes: np.ndarray, bits: np.ndarray) -> None:
    """Give each symbol that occurs its code, first bit lowest, and its number of bits; at least two get one."""
    n_symbols = len(counts)
    ranked, lengths = np.empty(n_symbols, np.int64), np.empty(n_symbols, np.int64)
    n = 0
    for s in range(n_symbols):
        bits[s] = U0
        if counts[s] > 0 or (n == 0 and s == n_symbols - 1) or (n < 2 and s >= n_symbols - 2):
            ranked[n] = counts[s] << RANK_BITS | s
            n += 1
    _sort(ranked, n)
    for k in range(n):
        lengths[k] = ranked[k] >> RANK_BITS
    _depths(lengths, n)
    _limit(lengths, n, limit)
    per_length = np.zeros(limit + 2, np.int64)
    for k in range(n):
        bits[ranked[k] & ((1 << RANK_BITS) - 1)] = np.uint64(lengths[k])
        per_length[lengths[k]] += 1
    following = np.zeros(limit + 2, np.int64)
    for length in range(1, limit + 1):
        following[length + 1] = (following[length] + per_length[length]) << 1
    for s in range(n_symbols):
        n_bits = np.int64(bits[s])
        if n_bits:
            flipped, code = U0, following[n_bits]
            following[n_bits] += 1
            for _ in range(n_bits):
                flipped = flipped << U1 | np.uint64(code & 1)
                code >>= 1
            codes[s] = flipped


@jit("UniTuple(u8, 3)(u1[::1], u8, u8, u8, u8, u8)")
def _put(out: np.ndarray, position: Any, held: Any, n_held: Any, value: Any, n_bits: Any) -> Any:
    """Add n_bits <= 48 to a stream whose last n_held < 8 bits are held back; return its state."""
    held |= value << n_held
    n_held += n_bits
    for k in range(8):
        out[position + np.uint64(k)] = np.uint8(held >> np.uint64(8 * k) & np.uint64(255))
    whole = n_held >> np.uint64(3)
    return position + whole, held >> (whole << np.uint64(3)), n_held & U7


@jit("i8(u8[::1], i8[::1], i8[::1])")
def _runs(bits: np.ndarray, symbols: np.ndarray, extra: np.ndarray) -> int:
    """Describe the lengths of all codes as symbols, with a number for runs of zeros; return how many."""
    n = 0
    i = 0
    while i < len(bits):
        run = 0
        while i + run < len(bits) and run < 138 and bits[i + run] == U0:
            run += 1
        if run >= 3:
            symbols[n] = ZEROS_SHORT if run <= 10 else ZEROS_LONG
            extra[n] = run - 3 if run <= 10 else run - 11
            i += run
        else:
            symbols[n] = np.int64(bits[i])
            i += 1
        n += 1
    return n


@jit("UniTuple(u8, 3)(u8[::1], u1[::1], u8, u8, u8)")
def _put_codes(bits: np.ndarray, out: np.ndarray, position: Any, held: Any, n_held: Any) -> Any:
    """Write the head of a block: that it is not the last, and the lengths of its codes."""
    # both distance codes there have to be, though no distance is used
    all_bits = np.ones(N_LITERALS + 2, np.uint64)
    all_bits[:N_LITERALS] = bits
    symbols, extra = np.empty(N_LITERALS + 2, np.int64), np.zeros(N_LITERALS + 2, np.int64)
    n = _runs(all_bits, symbols, extra)
    counts = np.zeros(19, np.int64)
    for k in range(n):
        counts[symbols[k]] += 1
    codes, code_bits = np.zeros(19, np.uint64), np.zeros(19, np.uint64)
    _codes(counts, MAX_LENGTH_BITS, codes, code_bits)
    n_order = 19
    while code_bits[LENGTH_ORDER[n_order - 1]] == U0:
        n_order -= 1
    head = np.uint64(0b100 | (N_LITERALS - 257) << 3 | 1 << 8 | (n_order - 4) << 13)
    position, held, n_held = _put(out, position, held, n_held, head, np.uint64(17))
    for k in range(n_order):
        position, held, n_held = _put(out, position, held, n_held, code_bits[LENGTH_ORDER[k]], np.uint64(3))
    for k in range(n):
        symbol = symbols[k]
        position, held, n_held = _put(out, position, held, n_held, codes[symbol], code_bits[symbol])
        if symbol >= ZEROS_SHORT:
            width = np.uint64(3 if symbol == ZEROS_SHORT else 7)
            position, held, n_held = _put(out, position, held, n_held, np.uint64(extra[k]), width)
    return position, held, n_held


@jit("void(Array(u1, 1, 'C', True), u8, u8, i8[::1])")
def _count(data: np.ndarray, start: Any, end: Any, counts: np.ndarray) -> None:
    """Count the bytes; four counters each, because neighbours are often equal and would wait for each other."""
    parts = np.zeros(4 * 256, np.uint32)
    i = start
    while i + np.uint64(4) <= end:
        for k in range(4):
            parts[np.uint64(256 * k) + np.uint64(data[i + np.uint64(k)])] += np.uint32(1)
        i += np.uint64(4)
    while i < end:
        parts[np.uint64(data[i])] += np.uint32(1)
        i += U1
    for s in range(256):
        counts[s] = parts[s] + parts[s + 256] + parts[s + 512] + parts[s + 768]
    counts[END] = 1


@jit("i8(Array(u1, 1, 'C', True), i8, u1[::1], i8)")
def put_literals(data: np.ndarray, n: int, out: np.ndarray, first: int) -> int:
    """Write data[:n] as deflate blocks to out[first:], none of them the last, ending at a whole byte; return the end.

    ``out`` needs 11 bits for each byte and HEADER_BYTES for each block begun. A compressor may go on behind the end.
    """
    position, held, n_held = np.uint64(first), U0, U0
    counts = np.zeros(N_LITERALS, np.int64)
    codes, bits = np.zeros(N_LITERALS, np.uint64), np.zeros(N_LITERALS, np.uint64)
    for start in range(0, n, BLOCK):
        i, end = np.uint64(start), np.uint64(min(start + BLOCK, n))
        _count(data, i, end, counts)
        _codes(counts, MAX_BITS, codes, bits)
        position, held, n_held = _put_codes(bits, out, position, held, n_held)
        while i + np.uint64(5) <= end:
            for k in range(5):
                s = np.uint64(data[i + np.uint64(k)])
                held |= codes[s] << n_held
                n_held += bits[s]
            for k in range(8):
                out[position + np.uint64(k)] = np.uint8(held >> np.uint64(8 * k) & np.uint64(255))
            position += n_held >> np.uint64(3)
            held >>= n_held & ~U7
            n_held &= U7
            i += np.uint64(5)
        while i < end:
            s = np.uint64(data[i])
            position, held, n_held = _put(out, position, held, n_held, codes[s], bits[s])
            i += U1
        position, held, n_held = _put(out, position, held, n_held, codes[END], bits[END])
    # an empty stored block: three bits 0, zeros up to the byte, and its length 0 twice, once inverted
    n_pad = (U8 - (n_held + np.uint64(3) & U7)) & U7
    position, held, n_held = _put(out, position, held, n_held, U0, np.uint64(3) + n_pad)
    position, held, n_held = _put(out, position, held, n_held, np.uint64(0xFFFF0000), np.uint64(32))
    return int(position)


READY = True  # the last name of this module
