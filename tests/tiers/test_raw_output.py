"""Raw files as an output specification wants them, parts of a file, growing files."""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "daq"))
from daq_streams import fcio_config, fcio_messages, fw, orca_fc_packets, orca_fcio_packets

from pygama_core import lh5
from pygama_core.daq.follow import Follow
from pygama_core.daq.selection import Selection
from pygama_core.errors import ConfigError, DecodeError
from pygama_core.tiers.daq_to_raw import RawOptions, daq_to_raw


@pytest.fixture
def convert(tmp_path):
    def run(content, spec=None, n_max=None, names=None, **options):
        daq = tmp_path / "cycle.daq"
        daq.write_bytes(b"".join(content))
        raw = tmp_path / "raw" / "main.lh5"
        options = RawOptions(out_spec=spec, keywords={"dir": str(tmp_path / "raw")}, **options)
        return raw.parent, daq_to_raw(daq, raw, n_max=n_max, names=names, options=options)

    return run


def spec_of(**entries):
    return {"FCEventDecoder": entries, "*": {"{name}": {"key_list": ["*"]}}}


def test_several_files_each_with_its_account(convert):
    spec = spec_of(
        geds={"key_list": [[1104000, 1104001]], "out_stream": "{dir}/geds.lh5:/a"},
        **{"ch{key:07d}/raw": {"key_list": ["*"], "out_stream": "{dir}/rest.lh5"}},
    )
    directory, summary = convert(fcio_messages(6), spec)
    assert sorted(path.name for path in directory.iterdir()) == ["geds.lh5", "main.lh5", "rest.lh5"]
    geds = lh5.read(directory / "geds.lh5", "a/geds")
    assert geds.array("packet_id").tolist() == np.repeat(np.arange(1, 7), 2).tolist()
    assert geds.array("channel").tolist() == [0, 1] * 6
    assert lh5.n_rows(directory / "rest.lh5", "ch1104002/raw") == 6
    assert lh5.read(directory / "main.lh5", "FCConfig")["nsamples"].value == 20
    for name in ("geds", "main", "rest"):
        assert lh5.read(directory / f"{name}.lh5", "daq_summary")["records"]["Event"].value == 6
        assert lh5.exists(directory / f"{name}.lh5", "provenance")
    assert summary.rows_not_written == {}


def test_specification_from_a_file_into_the_raw_file(convert, tmp_path):
    path = tmp_path / "spec.json"
    path.write_text(json.dumps({"*": {"all/{name}": {"key_list": ["*"], "out_stream": "{filekey}"}}}))
    directory, _ = convert(orca_fcio_packets(4), path)
    assert [p.name for p in directory.iterdir()] == ["main.lh5"]
    assert lh5.n_rows(directory / "main.lh5", "all/ORFCIOEvent") == 12
    assert lh5.n_rows(directory / "main.lh5", "all/ORRunDecoderForRun") == 2


def test_what_goes_nowhere_is_counted(convert):
    spec = {"FCEventDecoder": {"geds": {"key_list": [1104000]}}}
    _, summary = convert(fcio_messages(6), spec)
    assert summary.rows_not_written == {"1104001": 6, "1104002": 6, "fcid_1/config": 1}
    assert "rows of 3 keys that go nowhere" in str(summary)


def test_unmatched_keys_are_an_error_that_leaves_no_file(convert, tmp_path):
    spec = spec_of(
        geds={"key_list": [1104000, 1104009], "out_stream": "{dir}/geds.lh5"}, rest={"key_list": [[1, 5], "*"]}
    )
    with pytest.raises(ConfigError, match=r"FCEventDecoder\.geds: key 1104009 matches nothing .*\n.*rest: key 1\.\.5 "):
        convert(fcio_messages(2), spec)
    assert list((tmp_path / "raw").iterdir()) == []


def test_unmatched_keys_of_a_part_of_the_file_are_told(convert):
    spec = spec_of(geds={"key_list": [1104000, 1104009]})
    _, summary = convert(fcio_messages(5), spec, n_max=2)
    assert "key 1104009 matches nothing" in summary.warnings[0]


def test_processing_of_tables(convert):
    proc = {"window": ["waveform", 4, -6, "cut"], "drop": ["waveform", "packet_ids"], "compression": {"cut": "x"}}
    directory, summary = convert(fcio_messages(6), spec_of(geds={"key_list": ["*"], "proc_spec": proc}))
    geds = lh5.read(directory / "main.lh5", "geds")
    assert "waveform" not in geds
    assert geds["cut"].array("values")[0].tolist() == list(range(4, 14))
    assert geds["cut"].array("t0")[0] == 64
    assert [text.split("proc_spec.")[1].split(":")[0] for text in summary.warnings] == ["compression", "drop"]


def test_processing_chain(convert):
    """Sums of five samples, by the definition."""
    pytest.importorskip("pygama_core.dsp.chain", exc_type=ImportError)
    chain = {
        "outputs": ["presummed"],
        "processors": {
            "rate, presummed": {
                "function": "presum",
                "module": "dspeed.processors",
                "args": [
                    "waveform",
                    0,
                    "rate",
                    "presummed(shape=len(waveform)//5, period=waveform.period*5, dtype='f')",
                ],
                "unit": ["", "ADC"],
            }
        },
    }
    proc = {"dsp_config": chain, "dtype_conv": {"presummed/values": "uint32"}, "drop": ["waveform"]}
    directory, _ = convert(fcio_messages(6), spec_of(geds={"key_list": ["*"], "proc_spec": proc}))
    table = lh5.read(directory / "main.lh5", "geds")
    samples = (1000 * table.array("channel") + table.array("eventnumber"))[:, np.newaxis] + np.arange(20)
    np.testing.assert_array_equal(table["presummed"].array("values"), samples.reshape(-1, 4, 5).sum(2))
    assert table["presummed"].array("dt").tolist() == [80.0] * 18


def test_a_failing_step_leaves_no_file(convert, tmp_path):
    proc = {"dtype_conv": {"waveform/values": "uint8"}}
    with pytest.raises(ConfigError, match="do not fit uint8"):
        convert(fcio_messages(6), spec_of(geds={"key_list": ["*"], "proc_spec": proc}))
    assert list((tmp_path / "raw").iterdir()) == []


def test_traces_of_another_length_in_a_shared_table(convert):
    content = fcio_messages(2) + fcio_messages(3, fcio_config(n_samples=8))
    directory, _ = convert(content, spec_of(geds={"key_list": ["*"]}))
    raw = directory / "main.lh5"
    assert lh5.n_rows(raw, "geds") == 6
    assert lh5.n_rows(raw, "extra/8_samples/geds") == 9
    assert lh5.exists(raw, "FCConfig_1")


def test_aliases_of_detectors_in_the_file_of_their_table(convert):
    entry = {"key_list": [1104001], "out_stream": "{dir}/geds.lh5"}
    directory, _ = convert(
        fcio_messages(3), spec_of(**{"ch{key}/raw": entry}, rest={"key_list": "*"}), names={1104001: "V01"}
    )
    assert lh5.n_rows(directory / "geds.lh5", "raw/V01") == 3


def test_order_of_large_shared_tables(convert, monkeypatch):
    """Also if a file is decoded in many pieces."""
    from pygama_core.daq import daqfile

    monkeypatch.setattr(daqfile.DaqFile.blocks, "__defaults__", (500, None, None))
    directory, _ = convert(orca_fc_packets(60), {"*": {"{name}": {"key_list": ["*"]}}})
    table = lh5.read(directory / "main.lh5", "ORFlashCamADCWaveform")
    assert table.array("eventnumber").tolist() == list(range(60))


def test_same_input_gives_the_same_bytes(convert):
    spec = spec_of(geds={"key_list": ["*"]})
    digests = set()
    for _ in range(2):
        directory, _ = convert(fcio_messages(5), spec)
        digests.add(hashlib.sha256((directory / "main.lh5").read_bytes()).hexdigest())
    assert len(digests) == 1


def test_selected_channels_and_records(convert):
    directory, summary = convert(fcio_messages(9), selection=Selection.of([1104001], "3:7"))
    raw = directory / "main.lh5"
    assert lh5.ls(raw, "ch*/raw") == ["ch1104001/raw"]
    assert lh5.read(raw, "ch1104001/raw").array("packet_id").tolist() == [3, 4, 5, 6]
    assert (summary.first_packet_id, summary.last_packet_id) == (3, 6)


def test_a_selected_channel_that_is_not_there(convert):
    with pytest.raises(ConfigError, match=r"channel 5 is selected and not in cycle\.daq; selected and found: 1104001"):
        convert(fcio_messages(2), selection=Selection.of([5, 1104001]))


def test_a_growing_file(convert):
    directory, summary = convert(orca_fc_packets(9), follow=Follow(idle=0.2, poll=0.01))
    assert summary.is_lossless
    assert sum(lh5.n_rows(directory / "main.lh5", name) for name in lh5.ls(directory / "main.lh5", "ch*/raw")) == 9


def test_progress_is_told(convert):
    seen = []
    convert(fcio_messages(9), progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] > 9 * 3 * 40


def test_decoding_errors_come_through(convert, tmp_path):
    with pytest.raises(DecodeError, match="no Config record"):
        convert([fw.protocol()])
    assert list((tmp_path / "raw").iterdir()) == []


@pytest.mark.parametrize(("cut", "is_lossless"), [(0, True), (5, False)])
def test_losses(convert, cut, is_lossless):
    content = b"".join(fcio_messages(4))
    _, summary = convert([content[: len(content) - cut]])
    assert summary.is_lossless is is_lossless
