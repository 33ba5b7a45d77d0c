"""The VME cards whose packets are decoded, by the name that ORCA gives their decoder."""

from __future__ import annotations

from pygama_core.daq.orca import gretina, sis3302, sis3316
from pygama_core.daq.orca.vme import CardDecoder

CARDS: dict[str, CardDecoder] = {
    sis3302.NAME: sis3302.DECODER,
    sis3316.NAME: sis3316.DECODER,
    gretina.NAME: gretina.DECODER,
}
