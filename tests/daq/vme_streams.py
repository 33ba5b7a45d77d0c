"""Small ORCA files of VME cards."""

import numpy as np

from pygama_core.sim import struck_writer as sw
from pygama_core.sim.gretina_writer import DECODER as GRETINA
from pygama_core.sim.gretina_writer import GretinaEvent, Multirate, gretina_packet, gretina_settings
from pygama_core.sim.orca_writer import RunFlags, run_record

START = run_record(RunFlags.START, 7, 1_700_000_000)
END = run_record(RunFlags.END, 7, 1_700_000_100)
SIS3302 = sw.VmeCard(
    2, 5, "ORSIS3302Model", {"clockSource": 0, "internalTriggerEnabledMask": 7, "sampleLengths": [20] * 4}
)
SIS3316 = sw.VmeCard(0, 9, "ORSIS3316Model", {"enabledMask": 6, "rawDataBufferLen": 16})
MULTIRATE = Multirate(n_full=1600, factor=4, divisor=4)
GRETINA_CARD = sw.VmeCard(1, 3, "ORGretina4MModel", gretina_settings([None, MULTIRATE, Multirate(1500, 10, 2)]))
CARDS = (SIS3302, SIS3316, GRETINA_CARD)
HEADER = sw.vme_header(CARDS, (sw.SIS3302, sw.SIS3316, GRETINA))


def samples(number, n=20):
    return (1000 + 100 * number + np.arange(n)).astype(np.uint16)


def sis3302_event(number, **more):
    values = {"energy": 70_000 + number, "energy_first": 100 + number, "flags": 1 << 27 | number}
    values |= {"channel": number % 3, "timestamp": (1 << 40) + 1000 * number, "samples": samples(number)}
    return sw.Sis3302Event(**(values | more))


def sis3316_event(number, **more):
    values = {
        "peak": (10 + number, 20 + number),
        "information": number,
        "sums": tuple(1000 * k + number for k in range(8)),
        "maw": (2000 + number, 3000 + number, 4000 + number),
        "energies": (5000 + number, 6000 + number),
    }
    values |= {"number": 0x20 | number % 2 + 1, "timestamp": (1 << 40) + 1000 * number, "samples": samples(number, 16)}
    return sw.Sis3316Event(**(values | more))


def gretina_event(number, **more):
    trace = (-100 + number + np.arange(2018)).astype(np.int16)
    values = {"channel": 0, "timestamp": (1 << 40) + 1000 * number, "samples": trace, "energy": -5000 - number}
    return GretinaEvent(**(values | {"board_id": 0xD} | more))


def packets(n=12):
    """Header, run start, one packet of each kind in turn, run end."""
    made = []
    for k in range(n):
        if k % 3 == 0:
            made.append(sw.sis3302_packet(SIS3302, sis3302_event(k)))
        elif k % 3 == 1:
            made.append(sw.sis3316_packet(SIS3316, k % 2 + 1, [sis3316_event(k), sis3316_event(k + 100)]))
        else:
            made.append(gretina_packet(1, 3, [gretina_event(k)]))
    return [HEADER, START, *made, END]
