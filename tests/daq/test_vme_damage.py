"""Damaged ORCA files of VME cards: what is intact is kept exactly, what is lost is counted, nothing crashes."""

import numpy as np
import pytest
from vme_streams import CARDS, GRETINA, packets, samples

from pygama_core.sim import struck_writer as sw

N = 12
PACKETS = packets(N)
STREAM = b"".join(PACKETS)
ENDS = np.cumsum([len(packet) for packet in PACKETS]).tolist()


def found(decoded):
    """Numbers of the events that were read; all of their samples must be theirs."""
    numbers = []
    for table in decoded.channels.values():
        values = table["waveform"].array("values")
        for k in range(table.n_rows):
            if values.dtype == np.int16:
                if "presum_start" in table:
                    continue
                numbers.append(int(values[k, 0]) + 100)
                assert values[k].tolist() == list(range(values[k, 0], values[k, 0] + 2018))
            else:
                numbers.append((int(values[k, 0]) - 1000) // 100)
                assert values[k].tolist() == samples(numbers[-1], values.shape[1]).tolist()
    return sorted(numbers)


def expected(*lost):
    return sorted(k + more for k in range(N) if k not in lost for more in ((0, 100) if k % 3 == 1 else (0,)))


def test_intact(decode):
    decoded = decode(STREAM)
    assert found(decoded) == expected()
    assert decoded.summary.is_clean
    assert decoded.summary.records["ORSIS3316WaveformDecoder"] == 4


@pytest.mark.parametrize("max_bytes", [1, 500, 6000])
def test_result_does_not_depend_on_the_block_size(decode, max_bytes):
    content = STREAM[: ENDS[5] + 30] + STREAM[ENDS[5] + 50 :]
    assert decode(content, max_bytes=max_bytes).summary == decode(content).summary
    assert found(decode(content, max_bytes=max_bytes)) == found(decode(content))


def test_reading_stops_after_max_events(decode):
    assert found(decode(STREAM, max_events=3)) == [0, 1, 2, 101]


def test_cuts(decode):
    for k in range(2, N + 2):
        for cut in (ENDS[k - 1], ENDS[k - 1] + 1, ENDS[k - 1] + 9, ENDS[k] - 4, ENDS[k] - 1):
            decoded = decode(STREAM[:cut])
            assert found(decoded) == expected(*range(k - 2, N)), (k, cut)
            assert decoded.summary.truncated_tail == cut - ENDS[k - 1]


@pytest.mark.parametrize("n", [1, 2, 4, 7, 64])
@pytest.mark.parametrize("is_lost", [False, True])
@pytest.mark.parametrize("inside", [13, 70])
def test_inserted_and_lost_bytes(decode, n, is_lost, inside):
    for k in range(2, N + 1):
        at = ENDS[k - 1] + inside
        more = b"" if is_lost else np.random.default_rng(k).bytes(n)
        decoded = decode(STREAM[:at] + more + STREAM[at + n * is_lost :])
        kept = found(decoded)
        hit = [k - 3, k - 2] + [k - 1] * (is_lost and at + n > ENDS[k])
        assert set(kept) >= set(expected(*hit)), (k, n)
        assert set(kept) <= set(expected()), (k, n)
        assert decoded.summary.n_gaps >= 1


def test_bytes_in_front_of_a_packet(decode):
    """Cards that mark only the start of their events: the bytes could be inside of the packet before."""
    for k in range(2, N + 1):
        decoded = decode(STREAM[: ENDS[k - 1]] + b"garbage!" + STREAM[ENDS[k - 1] :])
        assert set(found(decoded)) >= set(expected(k - 3 if k > 2 and (k - 3) % 3 else -1)), k


@pytest.mark.parametrize("bit", range(32))
def test_flipped_bits_of_headers_cost_one_packet(decode, bit):
    for k in range(2, N + 2):
        damaged = bytearray(STREAM)
        damaged[ENDS[k - 1] + bit // 8] ^= 1 << bit % 8
        decoded = decode(damaged)
        assert set(found(decoded)) >= set(expected(k - 2)), (k, bit)
        assert decoded.summary.n_gaps or decoded.summary.not_converted


@pytest.mark.parametrize("seed", range(100))
def test_random_damage(decode, seed):
    rng = np.random.default_rng(seed)
    damaged, start = bytearray(STREAM), len(PACKETS[0])
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(start, len(damaged)))
        damaged[at : at + int(rng.integers(0, 40))] = rng.bytes(int(rng.integers(0, 40)))
    summary = decode(damaged).summary
    assert summary.bytes_skipped + summary.truncated_tail <= len(damaged) - start


@pytest.mark.parametrize("seed", range(100))
def test_random_words_in_front_of_the_samples(decode, seed):
    """Lengths, counts and places with any values."""
    rng = np.random.default_rng(seed)
    damaged = bytearray(STREAM)
    for _ in range(int(rng.integers(1, 5))):
        at = ENDS[int(rng.integers(1, N + 1))] + 4 * int(rng.integers(1, 27))
        damaged[at : at + 4] = rng.bytes(4)
    summary = decode(damaged).summary
    assert summary.bytes_skipped <= len(damaged)


@pytest.mark.parametrize("seed", range(60))
def test_impossible_settings(decode, seed):
    """Numbers of the header are those of the file: none of them may break the decoding."""
    rng = np.random.default_rng(seed)
    choices = (-1, 10**30, -(10**30), float("nan"), float("inf"), "text", [], [1], True, 2018, {"a": 1})
    cards = []
    for card in CARDS:
        settings = dict(card.settings)
        for name in settings:
            value = choices[int(rng.integers(0, len(choices)))]
            if rng.random() < 0.5:
                settings[name] = [value] * 10 if isinstance(settings[name], list) else value
        cards.append(sw.VmeCard(card.crate, card.slot, card.model, _of_plist(settings)))
    header = sw.vme_header(cards, (sw.SIS3302, sw.SIS3316, GRETINA))
    decoded = decode([header, *PACKETS[1:]])
    assert decoded.summary.records["ORSIS3302DecoderForEnergy"] == 4


def _of_plist(value):
    """Leave out what a property list cannot hold."""
    if isinstance(value, dict):
        return {name: _of_plist(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_of_plist(entry) for entry in value]
    return float(value) if isinstance(value, int) and abs(value) >= 2**63 else value
