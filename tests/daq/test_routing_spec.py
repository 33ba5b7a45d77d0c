import numpy as np
import pytest

from pygama_core.daq.columns import waveform_table
from pygama_core.daq.daqfile import Block
from pygama_core.daq.routing import SpecRouter, Target, decoder_name
from pygama_core.daq.routing_spec import parse_output_spec, split_stream
from pygama_core.errors import ConfigError
from pygama_core.lh5.types import Array, Scalar, Struct, Table

HEADER = (
    '{"ReadoutDescription": [{"name": "ORFlashCamListenerModel", "uniqueID": 1}],'
    ' "ObjectInfo": {"AuxHw": [{"Class Name": "ORFlashCamListenerModel", "uniqueID": 1, "fspEnabled": true},'
    ' {"Class Name": "ORFlashCamListenerModel", "uniqueID": 2}]}}'
)


def entry(*keys, **more):
    return {"key_list": list(keys), "out_stream": "out.lh5", **more}


def router(spec, format_name="fcio", names=None, **keywords):
    return SpecRouter(parse_output_spec(spec, keywords), format_name, names or {})


def event(key, n_samples=4, decoder="FCEvent"):
    values = np.zeros((1, n_samples), np.uint16)
    return Block(decoder, key, Table({"packet_id": Array(np.array([1])), "waveform": waveform_table(values, 16)}))


def rows(decoder, key):
    return Block(decoder, key, Table({"packet_id": Array(np.array([1]))}))


def where(router, block):
    target = router.target(block)
    return None if target is None else (target.file, target.table)


def test_ranges_and_single_keys_share_a_table():
    r = router({"FCEventDecoder": {"geds": entry([3, 5], 9)}})
    assert [where(r, event(k)) for k in (3, 5, 9)] == [("out.lh5", "geds")] * 3
    assert [where(r, event(k)) for k in (2, 6)] == [None, None]
    assert r.target(event(4)).is_shared


def test_every_key_gets_its_name():
    r = router({"FCEventDecoder": {"g{key:0>3d}": entry([3, 5], out_stream="{key}.lh5:/a/b", out_name="x{name}")}})
    assert where(r, event(4)) == ("4.lh5", "a/b/xg004")
    assert not r.target(event(4)).is_shared


def test_a_listed_key_goes_before_the_wildcard_in_any_order():
    for names in (("rest{key}", "geds"), ("geds", "rest{key}")):
        entries = {"rest{key}": entry("*"), "geds": entry([1, 2])}
        r = router({"FCEventDecoder": {name: entries[name] for name in names}})
        assert where(r, event(1)) == ("out.lh5", "geds")
        assert where(r, event(3)) == ("out.lh5", "rest3")


def test_of_two_entries_that_list_a_key_the_last_counts_and_it_is_told():
    spec = {"FCEventDecoder": {"a": entry([1, 4]), "b": entry([4, 6], 2)}}
    r = router(spec)
    assert where(r, event(4)) == ("out.lh5", "b")
    assert r.spec.warnings == (
        "output specification: FCEventDecoder.a: key 4 goes to FCEventDecoder.b, which also lists it",
        "output specification: FCEventDecoder.a: key 2 goes to FCEventDecoder.b, which also lists it",
    )


def test_the_decoder_wildcard_takes_what_has_no_entry_of_its_own():
    r = router({"FCEventDecoder": {"geds": entry(1)}, "*": {"{name}": entry("*", out_stream="{name}.lh5:/g")}})
    assert where(r, event(2)) is None
    assert where(r, rows("FCStatus", "fcid_0/status/card0")) == ("FCStatus.lh5", "g/FCStatus")


def test_names_of_the_fields_decoders():
    assert decoder_name(event(1), "fcio") == "FCEventDecoder"
    assert decoder_name(event(1), "orca") == "ORFCIOEventDecoder"
    assert decoder_name(rows("FSPEvent", "swtid_1/event"), "orca") == "ORFCIOEventDecoder"
    assert decoder_name(rows("FSPEvent", "swtid_1/evt_hdr"), "orca") == "ORFCIOEventHeaderDecoder"
    assert decoder_name(rows("FSPEvent", "swtid_1/evt_hdr"), "fcio") == "FSPEventDecoder"
    assert decoder_name(rows("ORRunDecoderForRun", "RunControl"), "orca") == "ORRunDecoderForRun"
    assert decoder_name(rows("ORSIS3302DecoderForEnergy", 1), "orca") == "ORSIS3302DecoderForEnergy"


def test_tables_of_one_decoder_with_different_columns_are_told_apart():
    r = router({"*": {"{name}": entry("*")}}, "orca")
    r.target(Block("OrcaHeader", "OrcaHeader", Scalar(HEADER)))
    assert where(r, event(1))[1] == "ORFCIOEvent_0"
    assert where(r, rows("FSPEvent", "swtid_1/event"))[1] == "ORFCIOEvent_swtid_1/event"
    assert where(r, rows("FCEventHeader", "fcid_1/evt_hdr"))[1] == "ORFCIOEventHeader_fcid_1/evt_hdr"
    assert where(r, rows("FCStatus", "fcid_1/status/card0"))[1] == "ORFCIOStatus_0"
    assert where(r, rows("FSPStatus", "swtid_1/status"))[1] == "ORFCIOStatus_1"
    assert where(r, rows("ORRunDecoderForRun", "RunControl"))[1] == "ORRunDecoderForRun"


def test_an_integer_format_with_a_wildcard_takes_channels_only():
    r = router({"ORFCIOEventDecoder": {"ch{key:07d}/raw": entry("*")}}, "orca")
    assert where(r, event(5)) == ("out.lh5", "ch0000005/raw")
    assert where(r, rows("FSPEvent", "swtid_1/event")) is None


def test_an_integer_format_with_a_listed_text_key_is_an_error():
    r = router({"FCStatusDecoder": {"s{key:d}": entry([1, 2], "fcid_0/*")}})
    with pytest.raises(ConfigError, match=r"FCStatusDecoder\.s.*'fcid_0/status/card0' is no number.*write \{key\}"):
        r.target(rows("FCStatus", "fcid_0/status/card0"))


def test_patterns_of_text_keys():
    r = router({"FCStatusDecoder": {"{key}": entry("fcid_*/status/card81*")}})
    assert where(r, rows("FCStatus", "fcid_0/status/card8192")) == ("out.lh5", "fcid_0/status/card8192")
    assert where(r, rows("FCStatus", "fcid_0/status/card0")) is None


def test_a_later_configuration_has_the_key_of_the_first():
    r = router({"FCConfigDecoder": {"cfg": entry("fcid_0/config")}})
    assert where(r, Block("FCConfig", "fcid_0/config_1", Struct({}))) == ("out.lh5", "cfg")


def test_rows_of_another_length_get_a_table_of_their_own():
    r = router({"FCEventDecoder": {"geds": entry("*")}})
    assert [r.target(event(1, n)).table for n in (4, 8, 4)] == ["geds", "extra/8_samples/geds", "geds"]


def test_aliases_of_channels_with_a_table_of_their_own():
    r = router({"FCEventDecoder": {"ch{key}": entry(1, 2), "rest": entry("*")}}, names={1: "V01", 3: "V03"})
    for k in (1, 2, 3):
        r.target(event(k))
    assert list(r.links()) == [(Target("out.lh5", "ch1"), "raw/V01")]


def test_unmatched_keys_are_named():
    r = router({"FCEventDecoder": {"geds": entry([3, 5], [7, 8], 9)}, "ORSIS3302DecoderForEnergy": {"s": entry(1)}})
    for k in (4, 11, 12):
        r.target(event(k))
    assert r.unmatched() == [
        f"output specification: FCEventDecoder.geds: key {key} matches nothing in the file; "
        "FCEventDecoder has 11, 12, 4"
        for key in ("7..8", "9")
    ]


def test_keywords_environment_and_home(monkeypatch):
    monkeypatch.setenv("SOMEWHERE", "/data")
    r = router({"FCEventDecoder": {"geds": entry("*", out_stream="$SOMEWHERE/{run}.lh5:/{run}")}}, run="r001")
    assert where(r, event(1)) == ("/data/r001.lh5", "r001/geds")
    assert split_stream("~/x.lh5")[0].endswith("/x.lh5")
    assert split_stream("~/x.lh5")[0][0] == "/"


def test_without_a_stream_data_go_to_the_raw_file():
    r = router({"FCEventDecoder": {"geds": {"key_list": "*"}}})
    assert where(r, event(1)) == ("", "geds")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"D": 3}, r"D: expected a mapping of names, found 3"),
        ({"D": {"x": [1]}}, r"D\.x: expected key_list, out_stream"),
        ({"D": {"x": {"out_stream": "a"}}}, r"D\.x: no key_list"),
        ({"D": {"x": entry([5, 3])}}, r"D\.x: key_list holds \[5, 3\]; expected a channel number"),
        ({"D": {"x": entry([1, 2, 3])}}, r"key_list holds \[1, 2, 3\]"),
        ({"D": {"x": entry(1.5)}}, r"key_list holds 1\.5"),
        ({"D": {"x": entry(1, out_strem="a")}}, r"unknown entry 'out_strem'; did you mean out_stream\?"),
        (
            {"D": {"x": entry(1, out_stream="{run}.lh5")}},
            r"D\.x: out_stream '\{run\}\.lh5' holds \{run\}, .* known: key",
        ),
        ({"D": {"x{key": entry(1)}}, r"D\.x\{key: name 'x\{key'"),
        ({"D": {"x{key:q}": entry(1)}}, r"Unknown format code 'q'"),
        ({"D": {"{key:03d}": entry("fcid_0/config")}}, r"name '\{key:03d\}'"),
        ({"D": {"x": entry(1, out_name="{key.real.y}")}}, r"out_name"),
    ],
)
def test_malformed_specifications(spec, message):
    with pytest.raises(ConfigError, match=message):
        parse_output_spec(spec)


def test_decoders_with_a_table_for_each_key():
    r = router({"*": {"{name}": entry("*")}}, "llama")
    assert [where(r, event(k, decoder="LLAMAEvent"))[1] for k in (0, 4)] == ["LLAMAEvent_0", "LLAMAEvent_4"]
    r = router({"LLAMAEventDecoder": {"both": entry([0, 4])}}, "llama")
    assert [where(r, event(k, decoder="LLAMAEvent"))[1] for k in (0, 4)] == ["both", "both"]
