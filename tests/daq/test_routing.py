import numpy as np

from pygama_core.daq.columns import waveform_table
from pygama_core.daq.daqfile import Block
from pygama_core.daq.routing import Router
from pygama_core.lh5.types import Scalar, Table


def block(key, n_samples):
    return Block("FCEvent", key, Table({"waveform": waveform_table(np.zeros((1, n_samples), np.uint16), 16)}))


def test_channels_and_everything_else():
    router = Router()
    assert router.place(block(1104000, 8)) == "ch1104000/raw"
    assert router.place(block(7, 8)) == "ch0000007/raw"
    assert router.place(Block("x", "fcid_1/evt_hdr", Table({}))) == "extra/fcid_1/evt_hdr"
    assert router.place(Block("x", "OrcaHeader", Scalar("{}"))) == "extra/OrcaHeader"


def test_rows_of_another_length_get_a_table_of_their_own():
    router = Router()
    places = [router.place(block(5, n)) for n in (8, 16, 8)]
    assert places == ["ch0000005/raw", "extra/16_samples/ch0000005/raw", "ch0000005/raw"]


def test_aliases_of_the_channels_that_are_there():
    router = Router({5: "V05", 6: "V06"})
    router.place(block(5, 8))
    router.place(block(4, 8))
    assert list(router.aliases()) == [("ch0000005/raw", "raw/V05")]
