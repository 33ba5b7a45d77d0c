import numpy as np
import pytest
from daq_streams import fcio_messages, orca_fc_packets

from pygama_core.daq.daqfile import known_formats, open_daq
from pygama_core.errors import DecodeError


def test_format_is_found_from_the_content(tmp_path):
    for name, content in (("fcio", fcio_messages()), ("orca", orca_fc_packets())):
        path = tmp_path / "misleading.txt"
        path.write_bytes(b"".join(content))
        assert open_daq(path).format_name == name
        assert open_daq(path, format=name).format_name == name


def test_each_format_recognises_only_its_own(testdata):
    files = {
        "fcio": ["fcio/th228.fcio", "fcio/l200-p06-r007-cal-20230725T202227Z.fcio"],
        "orca": ["orca/fc/L200-comm-20220519-phy-geds.orca", "orca/fcio/l200-p13-r007-aph-20250101T003931Z.orca"],
    }
    for name, paths in files.items():
        for path in paths:
            head = (testdata / path).read_bytes()[:4096]
            assert [known.name for known in known_formats().values() if known.sniff(head)] == [name]


def test_unknown_format_name_lists_the_known(tmp_path):
    (tmp_path / "x").write_bytes(b"something")
    with pytest.raises(DecodeError, match=r"unknown DAQ format 'fc'; known formats: .*fcio.*orca"):
        open_daq(tmp_path / "x", format="fc")


def test_unknown_content_is_an_error(tmp_path):
    (tmp_path / "x").write_bytes(bytes(range(100)))
    with pytest.raises(DecodeError, match=r"none of the known formats .* 00 01 02 03"):
        open_daq(tmp_path / "x")


@pytest.mark.parametrize("content", [b"x", b"\0" * 11, b"\0" * 500, b"\xff" * 500])
@pytest.mark.parametrize("name", ["fcio", "orca"])
def test_wrong_content_with_a_given_format_is_an_error(tmp_path, name, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(DecodeError):
        list(open_daq(tmp_path / "x", format=name).blocks())


def test_summary_waits_for_the_last_block(tmp_path):
    (tmp_path / "x").write_bytes(b"".join(fcio_messages()))
    daq = open_daq(tmp_path / "x")
    with pytest.raises(DecodeError, match="complete only after"):
        _ = daq.summary
    list(daq.blocks())
    assert daq.summary.records["Event"] == 10
    with pytest.raises(DecodeError, match="can be iterated once"):
        list(daq.blocks())


@pytest.mark.parametrize("content", [fcio_messages(40), orca_fc_packets(40)], ids=["fcio", "orca"])
def test_result_does_not_depend_on_the_block_size(decode, content):
    whole = decode(content)
    for max_bytes in (1, 500, 3000):
        pieces = decode(content, max_bytes=max_bytes)
        assert pieces.summary == whole.summary
        for key, table in whole.channels.items():
            for name in ("packet_id", "eventnumber", "timestamp", "runtime", "deadtime"):
                np.testing.assert_array_equal(pieces.channels[key].array(name), table.array(name))


@pytest.mark.parametrize("content", [fcio_messages(40), orca_fc_packets(40)], ids=["fcio", "orca"])
def test_reading_stops_after_max_events(decode, content):
    decoded = decode(content, max_events=7)
    assert decoded.event_numbers == list(range(7))
    assert "stopped after 7" in decoded.summary.notes[0]
