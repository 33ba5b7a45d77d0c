import json
import plistlib
import struct

import numpy as np
import pytest
from daq_streams import (
    event_times,
    fcio_config,
    orca_fc_packets,
    orca_fcio_packets,
    orca_header,
    run_end,
    run_start,
    trace,
    traces,
    waveform_packet,
)

from pygama_core.errors import DecodeError
from pygama_core.sim import fcio_writer as fw
from pygama_core.sim import orca_writer as ow


def test_golden_values_of_flashcam_records(testdata, decode):
    decoded = decode((testdata / "orca/fc/L200-comm-20220519-phy-geds.orca").read_bytes())
    assert decoded.n_rows == 67
    total = sum(int(t["waveform"].array("values").sum(dtype=np.int64)) for t in decoded.channels.values())
    assert total == 9299719129
    assert {t["waveform"].array("values").shape[1] for t in decoded.channels.values()} == {6402}
    assert decoded.summary.first_timestamp == 1652986635.9839299
    assert sorted(decoded.channels) == [1028800 + k for k in range(6)]
    assert decoded.summary.is_clean
    assert json.loads(decoded.objects["OrcaHeader"].value)["ObjectInfo"]["AuxHw"][0]["uniqueID"] == 1


def test_golden_values_of_wrapped_fcio(testdata, decode):
    decoded = decode((testdata / "orca/fcio/l200-p13-r007-aph-20250101T003931Z.orca").read_bytes())
    assert decoded.n_rows == 61
    total = sum(int(t["waveform"].array("values").sum(dtype=np.int64)) for t in decoded.channels.values())
    assert total == 946781452
    assert decoded.tables["fcid_1/evt_hdr"].n_rows == 497
    assert decoded.tables["swtid_1/evt_hdr"].n_rows == 497
    assert decoded.tables["swtid_1/event"].n_rows == 1
    assert decoded.tables["RunControl"].n_rows == 3
    assert decoded.objects["swtid_1/config"]["trg_hwm_prescale_ratio"].values.shape == (1,)
    assert decoded.summary.is_clean


def test_run_records(decode):
    flags = ow.RunFlags.START | ow.RunFlags.START_SUBRUN
    packets = [
        orca_header(),
        ow.run_record(flags, 9, 1_700_000_000, subrun=3),
        ow.run_record(ow.RunFlags.HEARTBEAT, 30, 5),
        run_end(9),
    ]
    table = decode(packets).tables["RunControl"]
    assert table.array("run_number").tolist() == [9, 30, 9]
    assert table.array("subrun_number").tolist() == [3, 0, 0]
    assert table.array("runstartorstop").tolist() == [True, False, False]
    assert table.array("heartbeatrecord").tolist() == [False, True, False]
    assert table.array("startsubrunrecord").tolist() == [True, False, False]
    assert table.array("time").tolist() == [1_700_000_000, 5, 1_700_000_100]


def test_flashcam_waveforms(decode):
    decoded = decode(orca_fc_packets(9))
    decoded.assert_intact()
    assert sorted(decoded.channels) == [1104000, 1104001, 1104002]
    table = decoded.channels[1104001]
    assert table.array("packet_id").tolist() == [4, 7, 10]
    assert table.array("baseline").tolist() == [1, 4, 7]
    assert (table.array("crate")[0], table.array("slot")[0], table.array("dr_ch_len")[0]) == (1, 2, 3)
    assert table.array("fcid").dtype == np.uint8
    assert table["waveform"].array("dt")[0] == 16
    assert table.array("timestamp")[0] == pytest.approx(1_700_000_011.000009, abs=1e-6)
    assert decoded.summary.first_timestamp == pytest.approx(1_700_000_010.000005, abs=1e-6)
    assert decoded.summary.last_timestamp == pytest.approx(1_700_000_018.000037, abs=1e-6)


def test_waveforms_of_cards_with_24_inputs(decode):
    card = ow.FlashCamCard(crate=1, slot=2, address=0x10, enabled=(True,) * 24)
    header = ow.header(ow.OrcaHeader((card,), 20, start_time=0))
    where = ow.AdcChannel(crate=1, slot=2, address=0x10, adc_input=19, index=300)
    packet = ow.adc_waveform(event_times(1), where, trace(1, 0), n_inputs=24)
    table = decode([header, packet]).channels[1001619]
    assert table.array("fc_input").tolist() == [19]
    assert table.array("channel").tolist() == [300]
    assert table["waveform"].array("dt").tolist() == [4]


def test_sampling_period_is_that_of_the_listener(decode):
    config = ow.listener_config(fcio_config(adcbits=12))
    table = decode([orca_header(), config, waveform_packet(0, 0)]).channels[1104000]
    assert table["waveform"].array("dt").tolist() == [4]


def test_event_type_has_six_bits(decode):
    where = ow.AdcChannel(1, 2, 0x410, 0, 0)
    packet = ow.adc_waveform(event_times(0, event_type=43), where, trace(0, 0))
    assert decode([orca_header(), packet]).channels[1104000].array("event_type").tolist() == [43]


@pytest.mark.parametrize("gps", [0, 1])
def test_timestamp_follows_the_listeners_clock(decode, gps):
    times = fw.EventTimes((0, 100, 125_000_000, fw.MAX_TICKS), (10, 500_000, 7000, 0, 0, 0, 0))
    where = ow.AdcChannel(1, 2, 0x410, 0, 0)
    packets = [orca_header(), ow.listener_config(fcio_config(gps=gps)), ow.adc_waveform(times, where, trace(0, 0))]
    table = decode(packets).channels[1104000]
    assert table.array("timestamp")[0] == pytest.approx(7100.5 if gps else 111.0)
    assert table.array("runtime")[0] == 100.5


def test_early_waveforms_with_five_time_offsets(decode):
    packet = bytearray(waveform_packet(3, 1))
    first = struct.unpack_from("<I", packet, 4)[0]
    struct.pack_into("<I", packet, 4, first & ~(0x3F << 22) | 15 << 22)
    del packet[4 * 8 : 4 * 10]
    struct.pack_into("<I", packet, 0, struct.unpack_from("<I", packet, 0)[0] - 2)
    decoded = decode([orca_header(), bytes(packet), run_end()])
    decoded.assert_intact()
    table = decoded.channels[1104001]
    assert table.array("to_start_sec").tolist() == [0]
    assert table.array("mu_offset_sec").tolist() == [1_700_000_000]
    assert table.array("ts_pps").tolist() == [13]


def test_waveform_of_an_unknown_card_is_counted(decode):
    stray = ow.adc_waveform(event_times(1), ow.AdcChannel(7, 7, 0x990, 0, 0), trace(1, 0))
    decoded = decode([orca_header(), waveform_packet(0, 0), stray, waveform_packet(2, 0)])
    assert decoded.event_numbers == [0, 2]
    assert decoded.summary.not_converted["ORFlashCamADCWaveformDecoder of cards not in the header"] == 1


def test_waveforms_without_samples_or_of_several_lengths(decode):
    packets = [waveform_packet(0, 0), waveform_packet(1, 0, n_samples=0), waveform_packet(2, 0, n_samples=33)]
    decoded = decode([orca_header(), *packets, run_end()])
    shapes = [b.table["waveform"].array("values").shape for b in decoded.blocks if isinstance(b.key, int)]
    assert sorted(shapes) == [(1, 0), (1, 20), (1, 33)]


@pytest.mark.parametrize("boards", [None, [(3, 0x1234_5678_9ABC_DEF0)]])
def test_listener_config(decode, boards):
    decoded = decode([orca_header(), ow.listener_config(fcio_config(), boards=boards)])
    config = decoded.objects["fcid_1/config"]
    assert (config["nadcs"].value, config["nsamples"].value, config["readout_id"].value) == (3, 20, 1)
    assert config["ch_board_id"].values.tolist() == [0x410] * 3
    assert config["ch_inputnum"].values.tolist() == [0, 1, 2]
    assert config["board_rev"].values.tolist() == ([] if boards is None else [3])
    assert config["board_uid"].values.tolist() == ([] if boards is None else [0x1234_5678_9ABC_DEF0])
    assert {key: table.n_rows for key, table in decoded.channels.items()} == dict.fromkeys(
        [1104000, 1104001, 1104002], 0
    )
    assert set(decoded.channels[1104000]) == set(decode(orca_fc_packets(3)).channels[1104000])


def test_wrapped_fcio(decode):
    decoded = decode(orca_fcio_packets(5))
    decoded.assert_intact()
    table = decoded.channels[1104002]
    assert table.array("packet_id").tolist() == [3, 4, 5, 6, 7]
    assert decoded.summary.is_clean
    assert decoded.objects["fcid_1/config"]["streamid"].value == 65537


def test_wrapped_streams_of_two_listeners_are_kept_apart(decode):
    packets = [orca_header()]
    for listener, config in ((1, fcio_config()), (2, fcio_config(n_traces=2, n_samples=9, adcbits=12))):
        stream = fw.protocol() + fw.config(config)
        packets.append(ow.fcio_packet("ORFCIOConfigDecoder", stream, listener))
    for number in range(6):
        listener, n_traces, n_samples = [(1, 3, 20), (2, 2, 9)][number % 2]
        event = fw.event(event_times(number), traces(number, n_traces, n_samples))
        packets.append(ow.fcio_packet("ORFCIOEventDecoder", event, listener))
    decoded = decode(packets)
    decoded.assert_intact()
    assert decoded.channels[1104000].array("eventnumber").tolist() == [0, 2, 4]
    assert decoded.channels[2104001].array("eventnumber").tolist() == [1, 3, 5]
    assert decoded.channels[2104001]["waveform"].array("dt")[0] == 4
    assert sorted(decoded.channels) == [1104000, 1104001, 1104002, 2104000, 2104001]


def test_wrapped_event_of_odd_length_is_padded(decode):
    config = fcio_config(n_traces=1, n_samples=7)
    start = ow.fcio_packet("ORFCIOConfigDecoder", fw.protocol() + fw.config(config))
    events = [ow.fcio_packet("ORFCIOEventDecoder", fw.event(event_times(k), traces(k, 1, 7))) + b"" for k in range(3)]
    decoded = decode([orca_header(), start, *events])
    assert decoded.event_numbers == [0, 1, 2]
    assert decoded.summary.is_clean


def test_events_without_their_configuration_are_lost_and_told(decode):
    packets = orca_fcio_packets(4)
    decoded = decode(packets[:2] + packets[3:])
    assert decoded.n_rows == 0
    assert decoded.summary.n_gaps > 0
    assert decoded.summary.records_lost == 4


def test_packets_of_unknown_decoders_are_counted(decode):
    tree = {"dataDescription": {**ow.OrcaHeader((), 20, 0).plist()["dataDescription"], "ORSome": SHORT_AND_LONG}}
    header = orca_header(extra=tree)
    long = struct.pack("<4I", 40 << 18 | 4, 1, 2, 3)
    short = struct.pack("<I", 0x84000000 | 77)
    decoded = decode([header, run_start(), short, long, short, short, run_end()])
    assert decoded.summary.not_converted == {"ORSomeDecoderForLong": 1, "ORSomeDecoderForShort": 3}
    assert decoded.tables["RunControl"].n_rows == 2
    assert decoded.summary.n_gaps == 0


SHORT_AND_LONG = {
    "Long": {"dataId": 40 << 18, "decoder": "ORSomeDecoderForLong", "length": 4, "variable": False},
    "Short": {"dataId": -0x7C000000, "decoder": "ORSomeDecoderForShort", "length": 1, "variable": False},
}


def test_second_header_is_read_again(decode):
    other = ow.header(ow.OrcaHeader((ow.FlashCamCard(1, 2, 0x420, (True,) * 6),), 20, start_time=0, run_number=8))
    decoded = decode([orca_header(), waveform_packet(0, 0), other, waveform_packet(1, 0), run_end()])
    assert sorted(decoded.channels) == [1104000, 1105600]
    assert {"OrcaHeader", "OrcaHeader_1"} <= set(decoded.objects)
    assert decoded.channels[1105600].array("packet_id").tolist() == [3]


def test_damaged_second_header_leaves_the_first_in_force(decode):
    second = bytearray(orca_header())
    second[200:210] = b"<<<<<<<<<<"
    decoded = decode([orca_header(), waveform_packet(0, 0), bytes(second), waveform_packet(1, 0), run_end()])
    assert decoded.event_numbers == [0, 1]
    assert "header before stays in force" in decoded.summary.notes[0]
    assert decoded.summary.bytes_skipped == len(second)


@pytest.mark.parametrize("pad", range(4))
def test_header_padding(decode, pad):
    decoded = decode([orca_header(extra={"Filler": "x" * pad}), run_start(), run_end()])
    assert decoded.tables["RunControl"].n_rows == 2
    assert decoded.summary.is_clean


def test_header_of_more_than_a_mebibyte(decode):
    decoded = decode([orca_header(extra={"Filler": "x" * 1_500_000}), run_start(), run_end()])
    assert decoded.tables["RunControl"].n_rows == 2
    assert decoded.summary.is_clean


def big_endian(packets):
    """Reverse the words of all packets; the text of the header stays as it is."""
    header = packets[0]
    words = b"".join(packets[1:])
    swapped = np.frombuffer(words, "<u4").astype(">u4").tobytes()
    return np.frombuffer(header[:8], "<u4").astype(">u4").tobytes() + header[8:] + swapped


@pytest.mark.parametrize("filler", [0, 1, 2, 3, 150, 700])
def test_big_endian_files(decode, filler):
    packets = orca_fc_packets(6)
    packets[0] = orca_header(extra={"Filler": "x" * filler})
    decoded = decode(big_endian(packets))
    decoded.assert_intact()
    assert decoded.event_numbers == list(range(6))
    assert decoded.tables["RunControl"].array("run_number").tolist() == [7, 7]
    assert decoded.summary.is_clean


def test_file_that_starts_with_its_text_is_an_error(decode):
    with pytest.raises(DecodeError, match="starts with the property list; expected 8 bytes"):
        decode(orca_header()[8:] + run_start())


def test_header_that_is_no_property_list_is_an_error(decode):
    header = bytearray(orca_header())
    header[100:110] = b"<<<<<<<<<<"
    with pytest.raises(DecodeError, match="bytes of XML are no property list"):
        decode([bytes(header), run_start()])


def test_header_without_packet_ids_is_an_error(decode):
    xml = plistlib.dumps({"ObjectInfo": {}})
    padded = xml + bytes(4 - len(xml) % 4)
    with pytest.raises(DecodeError, match="no 'dataDescription'"):
        decode(struct.pack("<2I", 2 + len(padded) // 4, len(xml)) + padded)


def test_cut_header_is_an_error(decode):
    with pytest.raises(DecodeError, match="no complete ORCA header packet"):
        decode(orca_header()[:-200])


def test_too_short_file_is_an_error(tmp_path):
    from pygama_core.daq.daqfile import open_daq

    (tmp_path / "x").write_bytes(b"12345")
    with pytest.raises(DecodeError, match="5 bytes are no ORCA file"):
        open_daq(tmp_path / "x", format="orca")


@pytest.mark.parametrize(
    "extra",
    [
        {"ObjectInfo": 5},
        {"ObjectInfo": {"Crates": "none"}},
        {"ObjectInfo": {"Crates": [{"CrateNumber": "one", "Cards": [{"Card": 2, "Enabled": 3}]}]}},
        {"ReadoutDescription": [7, {"name": "ORFlashCamListenerModel", "children": {"a": 1}}]},
    ],
)
def test_strange_headers_leave_cards_unknown(decode, extra):
    decoded = decode([orca_header(extra=extra), waveform_packet(0, 0), run_end()])
    assert decoded.n_rows == 0
    assert decoded.summary.not_converted["ORFlashCamADCWaveformDecoder of cards not in the header"] == 1
