import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_streams import CHANNELS, Llama, event, events, v1_file

from pygama_core.daq.llama.config import start_time
from pygama_core.daq.llama.reader import LlamaFile
from pygama_core.daq.source import open_source
from pygama_core.errors import ConfigError, DecodeError
from pygama_core.sim import llama_writer as lw
from pygama_core.sim.struck_writer import Sis3316Event

REAL = "llamaDAQ/20241218-150158-pulser.bin"


@pytest.fixture
def read(tmp_path):
    def read_bytes(content, name="run.bin", **options):
        path = tmp_path / name
        path.write_bytes(bytes(content))
        return Llama(path, **options)

    return read_bytes


def test_golden_values(testdata):
    file = Llama(testdata / REAL)
    assert sorted(file.tables) == [0, 4]
    sums = {
        key: [int(t[f"waveform_{kind}"].array("values").sum(dtype=np.int64)) for kind in ("windowed", "presummed")]
        for key, t in file.tables.items()
    }
    assert sums == {0: [2566696400, 12736824858], 4: [2343025116, 585750176]}
    for key, dt, t0, averaged_t0 in ((0, 16, -4000, -8000), (4, 32, -4000, -4000)):
        table = file.tables[key]
        assert table.n_rows == 37
        assert table.array("time_since_run_start")[:2] == pytest.approx([0.00303012, 0.008030064], abs=1e-9)
        assert set(table["waveform_windowed"].array("dt")) == {4}
        assert set(table["waveform_windowed"].array("t0")) == {t0}
        assert set(table["waveform_presummed"].array("dt")) == {dt}
        assert set(table["waveform_presummed"].array("t0")) == {averaged_t0}
    assert file.summary.records == {"Event": 74}
    assert file.summary.is_clean
    assert file.summary.first_timestamp == pytest.approx(1734534118.00303)


def test_header_of_the_real_file(testdata):
    header = Llama(testdata / REAL).objects["LLAMAHeader"]
    assert [header[f"version_{name}"].value for name in ("major", "minor", "patch")] == [2, 0, 0]
    assert header["number_chOpen"].value == 2
    assert header["initial_timestamp"].value == 1734534118.0
    channel = header["fch_04"]
    assert (channel["avg_mode"].value, channel["event_length"].value, channel["sample_freq"].value) == (2, 1263, 250.0)
    assert channel["14_bit_flag"].value == 1


def test_accumulators_are_those_written(read):
    """The reference reads them one word late and loses the first."""
    table = read(lw.llama_file(CHANNELS, events(9))).tables[0]
    for k in range(8):
        assert table.array(f"cumsum_{k + 1}").tolist() == [1000 * k + n for n in (0, 3, 6)]


def test_all_fields(read):
    table = read(lw.llama_file(CHANNELS, events(9))).tables[0x25]
    assert table.array("fadc_channel_id").tolist() == [0x25] * 3
    assert table.array("packet_id").tolist() == [2, 5, 8]
    assert table.array("fadc_status_bits").tolist() == [1, 0, 1]
    assert table.array("wf_max_sample_value").tolist() == [1, 4, 7]
    assert table.array("wf_max_sample_idx").tolist() == [11, 14, 17]
    assert table.array("info_bits").tolist() == [201, 204, 207]
    assert table.array("maw_max").tolist() == [2001, 2004, 2007]
    assert table.array("maw_before").tolist() == [3001, 3004, 3007]
    assert table.array("maw_after").tolist() == [4001, 4004, 4007]
    assert table.array("start_energy").tolist() == [5001, 5004, 5007]
    assert table.array("max_energy").tolist() == [6001, 6004, 6007]
    assert table.array("maw_test_data").tolist() == [[n, n + 1, n + 2] for n in (1, 4, 7)]


def test_columns_follow_the_configuration(read):
    tables = read(lw.llama_file(CHANNELS, events(9))).tables
    assert "cumsum_1" in tables[0]
    assert "maw_max" not in tables[0]
    assert "waveform_presummed" in tables[0x31]
    assert "cumsum_1" not in tables[0x31]
    assert "waveform_presummed" not in tables[0x25]
    for table in tables.values():
        assert all("description" in column.attrs or column.is_waveform for column in table.columns.values())


def test_48_bits_of_time(read):
    """The reference loses the upper 16 bits: its time starts anew every 17 s."""
    late = (1 << 47) + 12345
    content = lw.llama_file(CHANNELS[:1], [event(0, timestamp=late), event(3, timestamp=late + 250)])
    assert read(content).tables[0].array("time_since_run_start") == pytest.approx([late * 4e-9, (late + 250) * 4e-9])


def test_averaged_trace_starts_later_by_the_count_of_the_event(read):
    table = read(lw.llama_file(CHANNELS, events(9))).tables[0x31]
    channel = CHANNELS[2]
    dt = 1000 / channel.sample_freq
    averaged_dt = dt * 2 ** (channel.avg_mode + 1)
    base = -channel.pretrigger * dt - channel.averaged_pretrigger * averaged_dt
    assert table["waveform_presummed"].array("t0").tolist() == [base + n * dt for n in (2, 5, 8)]
    assert table["waveform_presummed"].array("dt").tolist() == [averaged_dt] * 3
    assert table["waveform_windowed"].array("t0")[0] == (channel.start_index - channel.pretrigger) * dt


def test_version_1(read):
    file = read(v1_file([[event(0), event(3)], [], [event(1), event(4)], [event(6)]]))
    assert {key: table.array("packet_id").tolist() for key, table in file.tables.items()} == {
        0: [1, 2, 5],
        0x25: [3, 4],
    }
    file.assert_intact()
    assert file.summary.is_clean
    assert file.objects["LLAMAHeader"]["length_econf"].value == 68
    assert "sample_offset" in file.objects["LLAMAHeader"]["fch_00"].members


def test_configured_channel_without_events(read):
    file = read(lw.llama_file(CHANNELS, [event(0)]))
    assert file.tables[0x31].n_rows == 0
    assert file.tables[0x31]["waveform_presummed"].array("values").shape == (0, CHANNELS[2].n_averaged)


def test_no_channel_is_open(read):
    assert read(lw.file_header([])).summary.is_clean
    assert read(lw.file_header([]) + b"data").summary.skipped == ((16, 20),)


@pytest.mark.parametrize("max_bytes", [1, 100, 700])
def test_result_does_not_depend_on_the_block_size(read, max_bytes):
    content = lw.llama_file(CHANNELS, events(40))
    content = content[:3000] + b"damage" + content[3005:]
    whole, pieces = read(content), read(content, max_bytes=max_bytes)
    assert pieces.numbers == whole.numbers
    assert pieces.summary == whole.summary


def test_reading_stops_after_max_events(read):
    file = read(lw.llama_file(CHANNELS, events(40)), max_events=7)
    assert file.numbers == list(range(7))
    assert "reading stopped after 7 events" in file.summary.notes[-1]


@pytest.mark.parametrize(
    ("name", "zone", "expected"),
    [
        ("20241218-150158-pulser.bin", "UTC", 1734534118),
        ("20241218-150158-pulser.bin", "Europe/Berlin", 1734534118 - 3600),
        ("llama-20241218T150158Z.bin", "Europe/Berlin", 1734534118),
        ("llama_20240718T150158.bin", "Europe/Berlin", 1721307718),
        ("run17.bin", "UTC", 0),
        ("20241399-150158.bin", "UTC", 0),
    ],
)
def test_start_time_in_the_file_name(name, zone, expected):
    assert start_time(name, zone) == expected


def test_time_zone_is_a_choice_not_that_of_the_machine(tmp_path):
    path = tmp_path / "20240718-150158.bin"
    path.write_bytes(lw.llama_file(CHANNELS, [event(0)]))
    blocks = LlamaFile(open_source(path), time_zone="Europe/Berlin").blocks()
    table = next(block for block in blocks if block.key == 0).table
    assert table.array("unixtime")[0] == pytest.approx(1721307718, abs=0.1)
    with pytest.raises(ConfigError, match="unknown time zone 'Mars/Base'"):
        LlamaFile(open_source(path), time_zone="Mars/Base")


def header_with(**words):
    """A header whose channel configuration or file header has other words, by byte offset."""
    content = bytearray(lw.llama_file(CHANNELS[:1], [event(0)]))
    for at, value in words.items():
        offset = int(at[1:])
        content[offset : offset + len(value)] = value
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"LArI", r"bytes 0 ... 15 are 4c 41 72 49; expected the llamaDAQ magic number"),
        (b"LArX" + bytes(20), "expected the llamaDAQ magic number"),
        (header_with(b10=b"\x44"), "channel configurations of 68 bytes; version 2 has 88"),
        (header_with(b12=b"\xff\xff"), "65535 channel configurations of 88 bytes announced, the file has"),
        (header_with(b20=b"\x10"), "configuration of channel 16: FADC 0, channel 16: expected at most 255 and 15"),
        (header_with(b32=bytes(8)), "sampling frequency of 0.0 MHz"),
        (header_with(b32=b"\xff" * 8), "sampling frequency of nan MHz"),
        (header_with(b48=b"\x13"), "format bits 0x13: expected 4 bits"),
        (header_with(b83=b"\xff"), "event_length"),
        (header_with(b64=b"\x20"), "avg_mode 32"),
        (header_with(b80=b"\x01"), "1 words per event do not hold its header and samples"),
        (lw.file_header([CHANNELS[0], CHANNELS[0]]), "configuration of channel 0: configured twice"),
    ],
)
def test_damaged_header_is_an_error(read, content, message):
    with pytest.raises(DecodeError, match=message):
        read(content)


@st.composite
def files(draw):
    channels = {}
    for number in draw(st.lists(st.integers(0, 255), min_size=1, max_size=4, unique=True)):
        channels[number] = lw.LlamaChannel(
            number >> 4,
            number & 15,
            n_samples=2 * draw(st.integers(0, 6)),
            format_bits=draw(st.integers(0, 15)),
            sample_freq=draw(st.sampled_from([125.0, 250.0])),
            avg_mode=draw(st.integers(0, 7)),
            n_averaged=2 * draw(st.integers(0, 4)),
            n_maw=draw(st.integers(0, 3)),
        )
    made = []
    for k, number in enumerate(draw(st.lists(st.sampled_from(sorted(channels)), max_size=10))):
        channel = channels[number]
        n_averaged = channel.n_averaged if channel.avg_mode else 0
        word = st.integers(0, 2**32 - 1)
        made.append(
            Sis3316Event(
                number,
                k * draw(st.integers(1, 2**40)) & 0xFFFFFFFFFFFF
                if k == 0
                else made[-1].timestamp + draw(st.integers(1, 2**30)),
                draw(st.lists(st.integers(0, 65535), min_size=channel.n_samples, max_size=channel.n_samples)),
                format_bits=channel.format_bits,
                peak=(draw(st.integers(0, 65535)), draw(st.integers(0, 65535))),
                information=draw(st.integers(0, 255)),
                sums=(draw(st.integers(0, 2**24 - 1)), *(draw(word) for _ in range(7))),
                maw=(draw(word), draw(word), draw(word)),
                energies=(draw(word), draw(word)),
                is_pile_up=draw(st.booleans()),
                maw_test=tuple(draw(word) for _ in range(channel.n_maw)),
                averaged=np.arange(n_averaged) if n_averaged else None,
                average_count=draw(st.integers(0, 255)),
            )
        )
    return list(channels.values()), made


@settings(max_examples=60, deadline=None)
@given(files())
def test_written_is_read_back(tmp_path_factory, file):
    channels, written = file
    path = tmp_path_factory.mktemp("llama") / "run.bin"
    path.write_bytes(lw.llama_file(channels, written))
    read = Llama(path)
    assert read.summary.is_clean
    rows = read.rows
    assert len(rows) == len(written)
    for row, e in zip(rows, written, strict=True):
        assert row["fadc_channel_id"] == e.number
        channel = next(c for c in channels if c.number == e.number)
        assert row["time_since_run_start"] == pytest.approx(e.timestamp / channel.sample_freq * 1e-6, rel=1e-12)
        assert row.get("waveform_windowed", []) == list(e.samples)
        assert row.get("waveform_presummed", []) == ([] if e.averaged is None else e.averaged.tolist())
        assert row.get("maw_test_data", []) == list(e.maw_test)
        assert row["fadc_status_bits"] == e.is_pile_up
        if e.format_bits & 1:
            assert (row["wf_max_sample_idx"], row["wf_max_sample_value"], row["info_bits"]) == (*e.peak, e.information)
            assert [row[f"cumsum_{k}"] for k in range(1, 7)] == list(e.sums[:6])
        if e.format_bits & 2:
            assert [row["cumsum_7"], row["cumsum_8"]] == list(e.sums[6:])
        if e.format_bits & 4:
            assert (row["maw_max"], row["maw_before"], row["maw_after"]) == e.maw
        if e.format_bits & 8:
            assert (row["start_energy"], row["max_energy"]) == e.energies
