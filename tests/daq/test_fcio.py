import numpy as np
import pytest
from daq_streams import event_times, fcio_config, fcio_messages, fcio_record, trace, traces

from pygama_core.errors import DecodeError
from pygama_core.sim import fcio_writer as fw


def test_golden_values_of_th228(testdata, decode):
    decoded = decode((testdata / "fcio/th228.fcio").read_bytes())
    table = decoded.channels[0]
    assert table["waveform"].array("values").shape == (1000, 1836)
    assert table["waveform"].array("values").sum(dtype=np.int64) == 24249924008
    assert table.array("timestamp")[0] == 1537868606.8168504
    assert decoded.summary.is_clean
    assert decoded.summary.records == {"Config": 1, "Event": 1000}


def test_golden_values_of_l200_p06(testdata, decode):
    decoded = decode((testdata / "fcio/l200-p06-r007-cal-20230725T202227Z.fcio").read_bytes())
    assert len(decoded.channels) == 123
    assert decoded.n_rows == 246
    total = sum(int(t["waveform"].array("values").sum(dtype=np.int64)) for t in decoded.channels.values())
    assert total == 30708246173
    assert decoded.summary.first_timestamp == 1690316548.395336
    assert decoded.summary.truncated_tail == 3
    config = decoded.objects["fcid_0/config"]
    assert (config["nadcs"].value, config["gps"].value, config["nsamples"].value) == (123, 50000, 8192)


def test_events_of_every_channel(decode):
    decoded = decode(fcio_messages(5))
    decoded.assert_intact()
    assert sorted(decoded.channels) == [1104000, 1104001, 1104002]
    table = decoded.channels[1104001]
    assert table.array("packet_id").tolist() == [1, 2, 3, 4, 5]
    assert table.array("baseline").tolist() == [0, 1, 2, 3, 4]
    assert table.array("daqenergy").tolist() == [1] * 5
    assert set(table.array("board_id")) == {0x410}
    assert set(table.array("fc_input")) == {1}
    assert table["waveform"].array("dt")[0] == 16
    np.testing.assert_allclose(table.array("timestamp"), [1_700_000_010 + k * (1 + 4e-6) + 5e-6 for k in range(5)])


@pytest.mark.parametrize(("adcbits", "dt"), [(16, 16), (12, 4)])
def test_sampling_period_and_integral_follow_the_resolution(decode, adcbits, dt):
    config = fcio_config(adcbits=adcbits, sumlength=8, blprecision=2)
    times = event_times(0)
    stream = [fw.protocol(), fw.config(config), fw.event(times, np.tile(np.uint16([50, 20]), (3, 11)))]
    table = decode(stream).channels[1104000]
    assert table["waveform"].array("dt").tolist() == [dt]
    assert table.array("baseline").tolist() == [25]
    wrapped = int(8 / 2 * ((20 - 50) % 65536)) % 65536
    assert table.array("daqenergy").tolist() == [20 if adcbits == 16 else wrapped]


@pytest.mark.parametrize("n_frames", [10, 11, 12])
def test_configs_of_old_writers(decode, n_frames):
    decoded = decode(fcio_messages(3, fcio_config(n_frames=n_frames, streamid=2)))
    keys = {10: [0], 11: [104000, 104001, 104002], 12: [2104000, 2104001, 2104002]}
    assert sorted(decoded.channels) == keys[n_frames]
    assert decoded.n_rows == 9
    assert decoded.summary.is_clean


def test_sparse_events_have_rows_for_their_traces_only(decode):
    chosen = {0: [0, 2], 1: [], 2: [1], 3: [0, 1, 2]}
    stream = [fw.protocol(), fw.config(fcio_config())]
    stream += [fw.sparse_event(event_times(k), c, traces(k)[c].reshape(len(c), 22)) for k, c in chosen.items()]
    decoded = decode(stream)
    decoded.assert_intact()
    assert decoded.channels[1104000].array("eventnumber").tolist() == [0, 3]
    assert decoded.channels[1104001].array("eventnumber").tolist() == [2, 3]
    assert decoded.channels[1104000].array("numtraces").tolist() == [2, 3]


@pytest.mark.parametrize("with_count", [False, True])
@pytest.mark.parametrize("listed", [[], [1], [0, 2], [0, 1, 2, 3], [0, 1, 2, 3, 4]])
def test_event_headers_of_both_forms(decode, with_count, listed):
    stream = [fw.protocol(), fw.config(fcio_config(n_traces=5))]
    words = np.array([[100 + i, 200 + i] for i in listed], np.uint16).reshape(-1, 2)
    stream += [fw.event_header(event_times(k), listed, words, with_count=with_count) for k in range(3)]
    decoded = decode(stream)
    table = decoded.tables["fcid_1/evt_hdr"]
    assert decoded.summary.is_clean
    assert table.array("eventnumber").tolist() == [0, 1, 2]
    for row in range(3):
        assert table["tracelist"][row].tolist() == listed
        assert table["baseline"][row].tolist() == [100 + i for i in listed]
        assert table["daqenergy"][row].tolist() == [200 + i for i in listed]
        assert table["fc_input"][row].tolist() == listed


def test_headers_advance_dead_time(decode):
    region = (11, 0, 11, 250, fw.MAX_TICKS, 0, 3)  # 1000 ns, told by a header only
    header = fw.event_header(event_times(2, deadregion=region), [0], np.zeros((1, 2), np.uint16))
    stream = [*fcio_messages(1), header, fw.event(event_times(3), traces(3))]
    decoded = decode(stream)
    assert decoded.channels[1104002].array("deadtime").tolist() == [0, 1e-6]
    assert decoded.tables["fcid_1/evt_hdr"]["deadinterval_nsec"][0].tolist() == [1000]


def test_dead_interval_of_some_channels_of_a_common_trigger(decode):
    region = (11, 0, 11, 250, fw.MAX_TICKS, 1, 2)  # 1000 ns of channels 1 and 2
    event = fw.sparse_event(event_times(2, deadregion=region), [0, 1, 2], traces(2))
    decoded = decode([*fcio_messages(1), event])
    dead = [decoded.channels[1104000 + k].array("deadtime")[-1] for k in range(3)]
    assert dead == [0, 1e-6, 1e-6]


def test_overlong_queue_of_dead_intervals_loses_none(decode):
    """More intervals than the queue holds, all of them in the future of the events that tell them."""
    config = fcio_config(n_traces=1)
    stream = [fw.protocol(), fw.config(config)]
    for k in range(100):
        region = (1000 + k, 0, 1000 + k, 250, fw.MAX_TICKS, 0, 1)
        stream.append(fw.event(event_times(k, deadregion=region), traces(k, 1)))
    last = fw.EventTimes((100, 5000, 0, fw.MAX_TICKS, 0))
    table = decode([*stream, fw.event(last, traces(100, 1))]).channels[1104000]
    assert table.array("deadtime")[-1] == 1e-4


def test_times_count_from_the_start_told_by_the_first_event(decode):
    table = decode(fcio_messages(2)).channels[1104000]
    start = 1_700_000_001_000_000_000
    np.testing.assert_array_equal(
        table.array("runtime"), [(10_000_000_000 - start) / 1e9, (11_000_004_000 - start) / 1e9]
    )
    np.testing.assert_array_equal(table.array("lifetime"), table.array("runtime"))


def test_short_time_frames_keep_the_words_of_the_event_before(decode):
    full, short = fw.EventTimes((4, 5, 6, 7, 0), (1, 2, 3, 4, 5, 6, 7, 0, 0, 0)), fw.EventTimes((8,), (9, 10))
    stream = [*fcio_messages(0), fw.event(full, traces(0)), fw.event(short, traces(1))]
    table = decode(stream).channels[1104000]
    assert table.array("ts_pps").tolist() == [5, 5]
    assert table.array("mu_offset_sec").tolist() == [1, 9]
    assert table.array("to_master_sec").tolist() == [3, 3]


def test_gps_changes_the_origin_of_the_timestamp(decode):
    times = fw.EventTimes((0, 100, 25, fw.MAX_TICKS, 0), (10, 500, 7000, 0, 0, 1, 0, 0, 0, 0))
    for gps, expected in ((0, 110_000_500_100), (1, 7_100_000_000_100)):
        stream = [fw.protocol(), fw.config(fcio_config(gps=gps)), fw.event(times, traces(0))]
        assert decode(stream).channels[1104000].array("timestamp")[0] == float(expected) / 1e9


def test_status_of_every_card(decode):
    cards = [
        fw.CardStatus(0x2001, 5, 6, 7, tuple(range(15)), (9, 1, 2, 3)),
        fw.CardStatus(0, environment=tuple(range(13))),
    ]
    times = [3, 500_000, 1_700_000_000, 250_000, 0, 1_600_000_000, 1]
    decoded = decode([*fcio_messages(1), fw.status(times, cards), fw.status(times, cards, is_ok=False)])
    table = decoded.tables["fcid_1/status/card8193"]
    assert table.array("packet_id").tolist() == [2, 3]
    assert table.array("status").tolist() == [True, False]
    assert table.array("fpga_time").tolist() == [3.5, 3.5]
    assert table.array("server_time")[0] == 1_700_000_000.25
    assert table.array("fpga_time_nsec")[0] == (6_000_000_000 + 28) % 2**32
    assert table.array("n_link_errors").tolist() == [3, 3]
    assert table.array("mb_voltages")[0].tolist() == [5, 6, 7, 8, 9, 10]
    assert table["adc_temps"][0].tolist() == [13, 14]
    assert decoded.tables["fcid_1/status/card0"]["adc_temps"][0].tolist() == []


def test_reconstructed_pulses(decode):
    pulses = [[[(1, 2.5, 10.0), (2, 3.5, 20.0)], [], [(4, 5.5, 30.0)]], [[], [], []]]
    records = [fw.rec_event(event_times(k), of_channels) for k, of_channels in enumerate(pulses)]
    decoded = decode([*fcio_messages(2), *records, fw.event(event_times(2), traces(2))])
    table = decoded.tables["fcid_1/rec_event"]
    assert decoded.summary.not_converted == {}
    assert table.array("packet_id").tolist() == [3, 4]
    assert table.array("eventnumber").tolist() == [0, 1]
    assert table.array("ts_pps").tolist() == [10, 11]
    assert table.array("timestamp").tolist() == [1_700_000_010.000005, 1_700_000_011.000009]
    assert table.array("n_pulses").tolist() == [3, 0]
    assert [row.tolist() for row in table["channel_pulses"]] == [[2, 0, 1], [0, 0, 0]]
    assert [row.tolist() for row in table["pulse_flags"]] == [[1, 2, 4], []]
    assert [row.tolist() for row in table["pulse_amplitude"]] == [[2.5, 3.5, 5.5], []]
    assert [row.tolist() for row in table["pulse_time"]] == [[10, 20, 30], []]


def test_records_without_a_table_are_counted(decode):
    calib = fcio_record(2, b"1234", bytes(8))
    rec = fcio_record(5, *[bytes(4)] * 2, bytes(40), bytes(40), bytes(20), bytes(4), bytes(12), b"", b"", b"")
    decoded = decode([*fcio_messages(2), calib, rec, fw.event(event_times(2), traces(2))])
    assert decoded.summary.not_converted == {"Calib": 1}
    assert decoded.summary.n_gaps == 0
    assert decoded.channels[1104000].array("packet_id").tolist() == [1, 2, 5]


def test_unknown_record_is_a_loss_with_a_place(decode):
    messages = fcio_messages(3)
    unknown = fcio_record(77, b"abcd")
    decoded = decode([*messages, unknown, fw.event(event_times(3), traces(3))])
    start = sum(map(len, messages))
    assert decoded.event_numbers == [0, 1, 2, 3]
    assert decoded.summary.skipped == ((start, start + len(unknown)),)
    assert decoded.summary.not_converted == {"unknown tag 77": 1}


def test_configuration_without_events_gives_empty_tables(decode):
    decoded = decode(fcio_messages(0))
    assert sorted(decoded.channels) == [1104000, 1104001, 1104002]
    assert all(table.n_rows == 0 for table in decoded.channels.values())
    assert decoded.channels[1104000]["waveform"].array("values").shape == (0, 20)
    assert set(decoded.channels[1104000]) == set(decode(fcio_messages(1)).channels[1104000])


def test_channel_that_saw_nothing_has_an_empty_table(decode):
    stream = [*fcio_messages(0), fw.sparse_event(event_times(0), [1], traces(0)[[1]])]
    assert {key: t.n_rows for key, t in decode(stream).channels.items()} == {1104000: 0, 1104001: 1, 1104002: 0}


def test_concatenated_files_of_one_configuration(decode):
    decoded = decode(fcio_messages(4) + fcio_messages(4))
    decoded.assert_intact()
    table = decoded.channels[1104000]
    assert table.array("eventnumber").tolist() == [0, 1, 2, 3] * 2
    assert table.array("packet_id").tolist() == [1, 2, 3, 4, 6, 7, 8, 9]
    assert {"fcid_1/config", "fcid_1/config_1"} <= set(decoded.objects)
    assert "configuration 2" in decoded.summary.notes[0]
    assert decoded.summary.n_gaps == 0


def test_concatenated_files_of_different_sizes(decode):
    decoded = decode(fcio_messages(2) + fcio_messages(3, fcio_config(n_traces=2, n_samples=7, streamid=2)))
    decoded.assert_intact()
    assert {key: t.n_rows for key, t in decoded.channels.items()} == {
        **dict.fromkeys([1104000, 1104001, 1104002], 2),
        **dict.fromkeys([2104000, 2104001], 3),
    }


def test_stream_without_configuration_is_an_error(decode):
    messages = fcio_messages(5)
    with pytest.raises(DecodeError, match="no Config record in"):
        decode([messages[0], *messages[2:]])


def test_software_trigger_tables(decode):
    flags = bytes([1, 0, *[0] * 6, 1, 0, 1, 0, 0, 1, 0, 0]) + (3).to_bytes(4, "little") + bytes(4)
    hwm = np.array([5], "<i4").tobytes() + np.array([900, 100], "<u2").tobytes() + np.array([6], "<i4").tobytes()
    wps = np.array([1.5], "<f4").tobytes() + np.array([3, 4], "<i4").tobytes() + bytes(8)
    lists = [np.array([1, 2], "<i4").tobytes(), np.array([70, 80], "<u2").tobytes(), b"", b"", b""]

    def decision(prescaled):
        return fcio_record(9, flags, bytes(32), (2).to_bytes(4, "little"), hwm, wps, *lists, prescaled)

    short, long = np.array([0, 4], "<u2").tobytes(), np.array([0, 4], "<i4").tobytes()
    stream = fcio_messages(2)
    header = fw.event_header(event_times(2), [1], np.zeros((1, 2), np.uint16))
    stream[2:2] = [decision(short)]
    stream[4:4] = [decision(long)]
    stream += [decision(b""), header]
    decoded = decode(stream)
    table = decoded.tables["swtid_1/event"]
    assert decoded.summary.is_clean
    assert table.array("packet_id").tolist() == [1, 2]
    assert table.array("is_written").tolist() == [True, True]
    assert table.array("is_consecutive")[0]
    assert not table.array("is_extended")[0]
    assert (table.array("is_hwm_multiplicity")[0], table.array("is_hwm_prescaled")[0]) == (True, False)
    assert (table.array("is_wps_sum")[0], table.array("is_ct_multiplicity")[0]) == (True, True)
    assert table.array("obs_hwm_max_value").tolist() == [900, 900]
    assert table.array("obs_ct_multiplicity").tolist() == [2, 2]
    assert table["obs_ct_max"][1].tolist() == [70, 80]
    assert [table["obs_ps_hwm_prescaled_trace_idx"][k].tolist() for k in (0, 1)] == [[0, 4], [0, 4]]
    assert decoded.tables["swtid_1/evt_hdr"].array("packet_id").tolist() == [3]


def test_software_trigger_status(decode):
    payload = np.arange(4.0).tobytes() + np.arange(6, dtype="<i4").tobytes() + np.arange(7.0).tobytes()
    assert len(payload) == 112
    stream = [*fcio_messages(1), fcio_record(10, payload), fw.status([1], [fw.CardStatus(0)])]
    table = decode(stream).tables["swtid_1/status"]
    assert table.array("packet_id").tolist() == [2]
    assert table.array("dt_logtime").tolist() == [2.0]
    assert table.array("dt_n_discarded_events").tolist() == [5]


def test_trace_helper_is_what_the_events_hold():
    assert trace(3, 2)[2:5].tolist() == [2003, 2004, 2005]
