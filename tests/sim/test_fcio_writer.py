"""The frames are taken apart here by rules written out from shared/formats/fcio.md, not by the package's decoder."""

import struct

import numpy as np
import pytest

from pygama_core.sim import fcio_writer as fcio

TRACEMAP = (0x410 << 16, 0x410 << 16 | 1, 0x420 << 16 | 5)


def parse(stream: bytes) -> list[tuple[int, list[bytes]]]:
    """Return tag and frames of each message; the protocol marker has tag 0."""
    messages: list[tuple[int, list[bytes]]] = []
    at = 0
    while at < len(stream):
        (word,) = struct.unpack_from("<i", stream, at)
        at += 4
        if word == -1000000001:
            messages.append((0, [stream[at : at + 64]]))
            at += 64
        elif word < 0:
            messages.append((-word, []))
        else:
            messages[-1][1].append(stream[at : at + word])
            at += word
    assert at == len(stream)
    return messages


def ints(frame: bytes) -> list[int]:
    return list(np.frombuffer(frame, "<i4"))


def test_protocol_marker():
    assert fcio.protocol()[:14] == b"\xff\x35\x65\xc4FlashCamV1"
    assert len(fcio.protocol()) == 68


@pytest.mark.parametrize("n_frames", [10, 11, 12])
def test_config_has_the_fields_of_its_firmware(n_frames):
    config = fcio.FcioConfig(TRACEMAP, 4096, streamid=7, gps=50000, sumlength=3, n_frames=n_frames)
    [(tag, frames)] = parse(fcio.config(config))
    assert tag == 1
    assert len(frames) == n_frames
    # adcs, triggers, samples, blprecision, sumlength, adcbits, master, trigger, adc cards, gps
    assert [ints(f)[0] for f in frames[:10]] == [3, 0, 4096, 1, 3, 16, 1, 0, 2, 50000]
    assert frames[10:11] == ([np.array(TRACEMAP, "<u4").tobytes()] if n_frames > 10 else [])
    assert frames[11:12] == ([struct.pack("<i", 7)] if n_frames > 11 else [])


def test_trigger_traces_are_the_last_ones():
    config = fcio.FcioConfig(TRACEMAP, 100, triggers=1, adcbits=12)
    [(_, frames)] = parse(fcio.config(config))
    assert [ints(f)[0] for f in frames[:6]] == [2, 1, 100, 1, 1, 12]
    assert ints(frames[8]) == [1]  # one card has ADC traces


TIMES = fcio.EventTimes((5, 1, 250, 249_999_999, 0), (9, 8, 7, 6, 5, 4, 3), (1, 2, 3, 4, 5, 0, 3), 11, 2.5)


def test_event():
    traces = np.arange(30, dtype=np.uint16).reshape(3, 10)
    [(tag, frames)] = parse(fcio.event(TIMES, traces))
    assert tag == 3
    assert ints(frames[0]) == [11]
    assert struct.unpack("<f", frames[1]) == (2.5,)
    assert [ints(f) for f in (frames[2], frames[3], frames[5])] == [
        [9, 8, 7, 6, 5, 4, 3],
        [5, 1, 250, 249_999_999, 0],
        [1, 2, 3, 4, 5, 0, 3],
    ]
    assert list(np.frombuffer(frames[4], "<u2")) == list(range(30))


def test_sparse_event():
    traces = np.arange(20, dtype=np.uint16).reshape(2, 10)
    [(tag, frames)] = parse(fcio.sparse_event(TIMES, [0, 2], traces))
    assert tag == 6
    assert len(frames) == 9
    assert ints(frames[5]) == [2]
    assert list(np.frombuffer(frames[6], "<u2")) == [0, 2]
    assert [list(np.frombuffer(f, "<u2")) for f in frames[7:]] == traces.tolist()


@pytest.mark.parametrize("with_count", [False, True])
def test_event_header(with_count):
    stream = fcio.event_header(TIMES, [0, 2], np.array([[10, 11], [12, 13]]), with_count=with_count)
    [(tag, frames)] = parse(stream)
    assert tag == 7
    assert len(frames) == (8 if with_count else 7)
    assert list(np.frombuffer(frames[-2], "<u2")) == [0, 2]
    assert list(np.frombuffer(frames[-1], "<u2")) == [10, 11, 12, 13]


def test_status():
    cards = [fcio.CardStatus(0), fcio.CardStatus(0x2000, 5, 6, 7, tuple(range(100, 116)), (4, 1, 2, 1))]
    [(tag, frames)] = parse(fcio.status([1, 2, 3, 4], cards))
    assert tag == 4
    assert [ints(f) for f in frames[:4]] == [[1], [1, 2, 3, 4, 0, 0, 0, 0, 0, 0], [2], [1180]]
    assert [len(f) for f in frames[4:]] == [1180, 1180]
    words = ints(frames[5])
    assert words[:6] == [0x2000, 0, 5, 6, 7, 249_999_999]
    assert words[6] == 16  # environment values
    assert words[10:14] == [4, 1, 2, 1]  # errors, from byte 40
    assert words[19:35] == list(range(100, 116))  # environment, from byte 76


def test_clock_has_4_ns_ticks():
    assert fcio.clock(3_000_000_016) == (3, 4)


def test_real_file_is_reproduced(testdata):
    """Config and first Event of a real file, written anew from their values, give the file's bytes."""
    real = (testdata / "fcio/l200-p06-r007-cal-20230725T202227Z.fcio").read_bytes()
    (_, _), (_, config), (_, event), *_ = parse(real[: 68 + 2_200_000].rsplit(struct.pack("<i", -3), 1)[0])
    head = [ints(f)[0] for f in config[:10]]
    settings = fcio.FcioConfig(
        tuple(np.frombuffer(config[10], "<u4")),
        n_samples=head[2],
        blprecision=head[3],
        sumlength=head[4],
        adcbits=head[5],
        adccards=head[8],
        gps=head[9],
        n_frames=11,
    )
    times = fcio.EventTimes(tuple(ints(event[3])), tuple(ints(event[2])), tuple(ints(event[5])), ints(event[0])[0])
    traces = np.frombuffer(event[4], "<u2").reshape(head[0], -1)
    written = fcio.protocol() + fcio.config(settings) + fcio.event(times, traces)
    assert written == real[: len(written)]
