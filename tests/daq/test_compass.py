import numpy as np
import pytest
from compass_streams import FORMATS, FULL, Compass, event, has_waveform, records, samples, written_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from pygama_core.daq.compass.layout import LAYOUTS
from pygama_core.daq.daqfile import open_daq
from pygama_core.daq.sniff import is_compass
from pygama_core.errors import ConfigError, DecodeError
from pygama_core.sim import compass_writer as cw

REAL = "compass/compass_test_data.BIN"


@pytest.fixture
def read(tmp_path):
    def read_bytes(content, **options):
        path = tmp_path / "run.BIN"
        path.write_bytes(b"".join(content) if isinstance(content, list) else bytes(content))
        return Compass(path, **options)

    return read_bytes


def test_golden_values(testdata):
    file = Compass(testdata / REAL)
    assert sorted(file.tables) == [0, 1]
    assert {key: table.n_rows for key, table in file.tables.items()} == {0: 51, 1: 51}
    assert sum(int(t["waveform"].array("values").sum(dtype=np.int64)) for t in file.tables.values()) == 306493168
    assert [row[2:4] for row in file.rows[:2]] == [(97876200000, 798), (97876200006, 9)]
    table = file.tables[0]
    assert table["waveform"].array("values").shape == (51, 1000)
    assert table["waveform"].array("dt").tolist() == [2.0] * 51
    assert np.isnan(table.array("energy_calibrated")).all()
    assert table.array("packet_id")[0] == 1
    assert file.summary.records == {"Event": 102}
    assert file.summary.is_clean
    assert file.summary.last_timestamp - file.summary.first_timestamp == pytest.approx(4.99997, abs=1e-5)


def test_every_column_has_units_and_description(testdata):
    for column in Compass(testdata / REAL).tables[0].columns.values():
        assert "description" in column.attrs or column.is_waveform


def test_header_of_the_real_file(testdata):
    header = Compass(testdata / REAL).objects["CompassHeader"]
    board = header["boards"]["0"]
    assert (board["modelName"].value, board["adcBitCount"].value, board["sample_rate"].value) == ("DT5730", "14", 0.5)
    assert board["wf_len"].value == 1000
    assert sorted(board["channels"].members) == ["0", "1"]
    assert board["channels"]["1"]["SRV_PARAM_CH_INDYN"].value == "INDYN_0_5_VPP"
    flags = ("energy_channels", "energy_calibrated", "energy_short", "waveform_samples", "header_present")
    assert [header[name].value for name in flags] == [1, 0, 1, 1, 1]


@pytest.mark.parametrize("name", FORMATS)
def test_every_layout(read, name):
    layout = FORMATS[name]
    file = read(records(8, layout))
    content = layout.content
    assert file.file.layout.name == name
    n = 24 if has_waveform(layout) else 0
    expected = [
        (e.channel, e.timestamp, e.energy * bool(content & 1), tuple(samples(k, n)))
        for k, e in enumerate(map(event, range(8)))
    ]
    assert [row[1:] for row in file.rows] == expected
    calibrated = np.concatenate([t.array("energy_calibrated") for t in file.tables.values()])
    assert np.isnan(calibrated).all() if not content & 2 else sorted(calibrated) == [100 + 0.5 * k for k in range(8)]
    short = sorted(np.concatenate([t.array("energy_short") for t in file.tables.values()]))
    assert short == ([700 + 13 * k for k in range(8)] if content & 4 else [0] * 8)
    assert file.summary.n_gaps == 0


@pytest.mark.parametrize(
    "name", [name for name in FORMATS if name.startswith("0x") and name not in ("0xCAE0", "0xCAE4")]
)
def test_split_files_lack_the_header_word(read, name):
    """The second and later files of a run. Those with one short word of energy could be of either gate."""
    content = records(40, FORMATS[name])[1:]
    file = read(content)
    assert file.file.layout.dtype.itemsize == LAYOUTS[name].dtype.itemsize
    assert file.file.layout.name in (name, {"0xCAE4": "0xCAE1", "0xCAEC": "0xCAE9"}.get(name, name), "v1-pha")
    assert len(file.rows) == 40
    assert file.objects["CompassHeader"]["header_present"].value == 0


def test_layout_can_be_named(read):
    content = records(5, FORMATS["v1-psd-short-flags"])
    assert read(content, layout="v1-psd-short-flags").file.layout.name == "v1-psd-short-flags"
    with pytest.raises(ConfigError, match=r"unknown layout 'v3'; known layouts: v1-psd, "):
        read(content, layout="v3")


def test_firmware_decides_between_layouts_that_both_fit(read, tmp_path):
    """With flags of zero, short energies that look like flags fit both."""
    layout = FORMATS["v1-psd-short-flags"]
    content = [cw.record(layout, event(k, energy_short=0x40, flags=0)) for k in range(6)]
    assert read(content).file.layout.name == "v1-pha"
    path = tmp_path / "psd.xml"
    path.write_bytes(cw.settings_xml([cw.CompassBoard(24, firmware="DPP_PSD")]))
    assert read(content, settings=path).file.layout.name == "v1-psd-short-flags"
    path.write_bytes(cw.settings_xml([cw.CompassBoard(24, firmware="DPP_PHA")]))
    assert read(content, settings=path).file.layout.name == "v1-pha"


def test_wrong_header_word_is_overruled_by_the_records(read):
    content = b"".join(records(10))
    file = read(b"\xe3\xca" + content[2:])
    assert len(file.rows) == 10
    assert "header word 0xCAE3 does not fit the records, which are 0xCAED" in file.summary.notes[0]


def test_damaged_header_word_is_skipped(read):
    content = b"".join(records(10))
    file = read(b"\x00\x80" + content[2:])
    assert len(file.rows) == 10
    assert file.summary.skipped == ((0, 2),)


@pytest.mark.parametrize("content", [b"\0" * 500, b"\xff" * 500, bytes(range(200)), b"x", b"LArI" + b"\0" * 100])
def test_other_content_is_an_error(read, content):
    assert not is_compass(content)
    with pytest.raises(DecodeError, match="no CoMPASS header word"):
        read(content)


def test_only_a_header_word(read):
    file = read(b"\xed\xca")
    assert not file.rows
    assert file.summary.records == {}


def test_format_is_found_from_the_content(tmp_path):
    for name in ("0xCAED", "0xCAE5", "v1-psd", "v1-pha"):
        path = tmp_path / "misleading.fcio"
        path.write_bytes(b"".join(records(9, FORMATS[name])))
        assert open_daq(path).format_name == "compass"
    long_record = cw.record(FORMATS["v1-psd"], event(0, n_samples=9000))
    path.write_bytes(long_record * 3)
    assert open_daq(path).format_name == "compass"


def test_records_of_several_lengths(read):
    """A channel's rows come in one table for each length, the usual one first."""
    lengths = [24, 0, 24, 30, 24, 24, 30, 24, 24]
    content = [FULL.file_header(), *(cw.record(FULL, event(k, n, channel=2)) for k, n in enumerate(lengths))]
    parts = read(content).parts[2]
    assert [part.n_rows for part in parts] == [6, 2, 1]
    assert [part["waveform"].array("values").shape[1] for part in parts[:2]] == [24, 30]
    assert "waveform" not in parts[2]
    assert [part.array("packet_id").tolist() for part in parts] == [[1, 3, 5, 6, 8, 9], [4, 7], [2]]


def test_channels_above_15_do_not_collide(read):
    content = [FULL.file_header(), *(cw.record(FULL, event(k, channel=k, board=3)) for k in range(64))]
    assert sorted(read(content).tables) == [(3 << 9) + k for k in range(64)]


def test_timestamps_are_exact_beyond_the_range_of_float(read):
    late = 2**53 + 1
    content = [FULL.file_header(), *(cw.record(FULL, event(k, timestamp=late + k, channel=0)) for k in range(4))]
    table = read(content).tables[0]
    assert table.array("timestamp_ps").tolist() == [late + k for k in range(4)]
    assert table.array("timestamp").dtype == np.float64


@pytest.mark.parametrize("max_bytes", [1, 100, 333])
def test_result_does_not_depend_on_the_block_size(read, max_bytes):
    content = b"".join(records(40))
    content = content[:700] + b"damage" + content[705:]
    whole, pieces = read(content), read(content, max_bytes=max_bytes)
    assert pieces.rows == whole.rows
    assert pieces.summary == whole.summary


def test_reading_stops_after_max_events(read):
    file = read(records(40), max_events=7)
    assert [row[0] for row in file.rows] == list(range(1, 8))
    assert "reading stopped after 7 records" in file.summary.notes[-1]


events_of_any_content = st.lists(
    st.builds(
        cw.CompassEvent,
        channel=st.integers(0, 63),
        board=st.integers(0, 31),
        timestamp=st.just(0),
        samples=st.lists(st.integers(0, 65535), max_size=5).map(lambda v: np.array(v, np.uint16)),
        energy=st.integers(0, 65535),
        energy_short=st.integers(0, 65535),
        energy_calibrated=st.just(0.0) | st.floats(1e-6, 1e9) | st.floats(-1e9, -1e-6),
        flags=st.sampled_from([0, 0x4000, 0x40C0, 0x8, 0x8000, 0x380000]),
        code=st.integers(0, 15),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(events_of_any_content, st.integers(0, 15), st.integers(1, 2**40))
def test_written_is_read_back(tmp_path_factory, events, content, step):
    """Any content of a file with a header word, times ascending."""
    layout = cw.RecordFormat(cw.Content(content))
    kept = []
    for k, e in enumerate(events):
        n = e.samples if content & 8 else e.samples[:0]
        kept.append(cw.CompassEvent(**{**vars(e), "timestamp": (k + 1) * step, "samples": n}))
    path = tmp_path_factory.mktemp("compass") / "run.BIN"
    path.write_bytes(cw.compass_file(layout, kept))
    file = Compass(path)
    expected = [(key, t, e * (content & 1), w) for key, t, e, w in written_rows(kept)]
    assert [row[1:] for row in file.rows] == expected
    assert file.summary.n_gaps == 0
    assert file.summary.truncated_tail == 0
