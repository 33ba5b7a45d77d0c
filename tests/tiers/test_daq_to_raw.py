import gzip
import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "daq"))
from daq_streams import fcio_config, fcio_messages, orca_fc_packets, orca_fcio_packets

from pygama_core import lh5
from pygama_core.errors import DecodeError
from pygama_core.tiers.daq_to_raw import daq_to_raw


@pytest.fixture
def convert(tmp_path):
    def run(content, **options):
        daq = tmp_path / "cycle.daq"
        daq.write_bytes(content if isinstance(content, bytes) else b"".join(content))
        raw = tmp_path / "cycle-tier_raw.lh5"
        return raw, daq_to_raw(daq, raw, **options)

    return run


def test_raw_file_of_fcio(convert):
    raw, summary = convert(fcio_messages(6))
    assert lh5.ls(raw, "ch*/raw") == ["ch1104000/raw", "ch1104001/raw", "ch1104002/raw"]
    table = lh5.read(raw, "ch1104001/raw")
    assert table.array("eventnumber").tolist() == list(range(6))
    assert table["waveform"].array("values")[3].tolist() == list(range(1003, 1023))
    assert table["timestamp"].attrs["units"] == "s"
    assert table["waveform"]["dt"].attrs["units"] == "ns"
    assert lh5.read(raw, "extra/fcid_1/config")["nsamples"].value == 20
    assert summary.rows == dict.fromkeys(["1104000", "1104001", "1104002"], 6)


@pytest.mark.parametrize("content", [orca_fc_packets(6), orca_fcio_packets(6)], ids=["fc", "fcio"])
def test_raw_file_of_orca(convert, content):
    raw, summary = convert(content)
    assert lh5.ls(raw, "ch*/raw") == ["ch1104000/raw", "ch1104001/raw", "ch1104002/raw"]
    assert lh5.read(raw, "extra/RunControl").n_rows == 2
    assert "dataDescription" in lh5.read(raw, "extra/OrcaHeader").value
    assert summary.is_clean


def test_summary_is_stored(convert):
    content = b"".join(fcio_messages(6))
    raw, summary = convert(content[:-5])
    stored = lh5.read(raw, "daq_summary")
    assert stored["truncated_tail"].value == summary.truncated_tail > 0
    assert stored["records"]["Event"].value == 5
    assert stored["file"].value == "cycle.daq"
    assert stored["last_timestamp"].value == summary.last_timestamp


def test_names_are_aliases_of_the_tables(convert):
    raw, _ = convert(fcio_messages(3), names={1104001: "V01", 1999999: "absent"})
    assert lh5.ls(raw, "raw/*") == ["raw/V01"]
    ours, alias = lh5.read(raw, "ch1104001/raw"), lh5.read(raw, "raw/V01")
    np.testing.assert_array_equal(ours.array("timestamp"), alias.array("timestamp"))


def test_configuration_without_events_gives_empty_tables(convert):
    raw, _ = convert(fcio_messages(0))
    for name in ("ch1104000/raw", "ch1104001/raw", "ch1104002/raw"):
        assert lh5.n_rows(raw, name) == 0
    assert set(lh5.read(raw, "ch1104000/raw")) == set(lh5.read(convert(fcio_messages(1))[0], "ch1104000/raw"))


def test_second_configuration_of_other_trace_length(convert):
    raw, summary = convert(fcio_messages(2) + fcio_messages(3, fcio_config(n_samples=8)))
    assert lh5.n_rows(raw, "ch1104000/raw") == 2
    assert lh5.n_rows(raw, "extra/8_samples/ch1104000/raw") == 3
    assert summary.n_notes == 1
    assert lh5.exists(raw, "extra/fcid_1/config_1")


def test_first_events_only(convert):
    raw, _ = convert(fcio_messages(9), n_max=4)
    assert lh5.n_rows(raw, "ch1104000/raw") == 4


def test_compressed_input_gives_the_same_tables(convert):
    raw, _ = convert(fcio_messages(5))
    plain = lh5.read(raw, "ch1104002/raw").array("timestamp")
    raw, _ = convert(gzip.compress(b"".join(fcio_messages(5))))
    np.testing.assert_array_equal(lh5.read(raw, "ch1104002/raw").array("timestamp"), plain)


def test_same_input_gives_the_same_bytes(convert):
    digests = {hashlib.sha256(convert(orca_fcio_packets(5))[0].read_bytes()).hexdigest() for _ in range(2)}
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"not a DAQ file at all", "none of the known formats"),
        (b"".join(fcio_messages(3)[:1]), "no Config record"),
    ],
)
def test_undecodable_input_leaves_no_output(convert, tmp_path, content, message):
    with pytest.raises(DecodeError, match=message):
        convert(content)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cycle.daq"]


def test_failure_keeps_the_output_that_was_there(convert):
    raw, _ = convert(fcio_messages(2))
    before = raw.read_bytes()
    with pytest.raises(DecodeError):
        convert(fcio_messages(2)[:1])
    assert raw.read_bytes() == before
