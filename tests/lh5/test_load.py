"""The one call for an analysis, against loops over the same files; and the joins it is made of."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pygama_core import lh5
from pygama_core.errors import LH5Error
from pygama_core.expression import Expression
from pygama_core.lh5.load import load
from pygama_core.lh5.query import (
    group_by_event,
    hits_of_events,
    join_by_key,
    join_by_position,
    matches,
    select,
)

CHANNELS = (1104000, 1104001, 1200000)
CYCLES = (
    "l200-p03-r001-cal-20230318T012144Z",
    "l200-p03-r001-cal-20230318T012228Z",
    "l200-p03-r002-phy-20230401T000000Z",
)


def channel_tables(key, cycle, n_rows):
    rng = np.random.default_rng([key, cycle])
    waveform = lh5.Table(
        {
            "t0": lh5.Array(np.zeros(n_rows, "f4"), {"units": "ns"}),
            "dt": lh5.Array(np.full(n_rows, 16, "f4"), {"units": "ns"}),
            "values": lh5.Array(rng.integers(0, 4000, (n_rows, 20)).astype("u2"), {"units": "ADC"}),
        }
    )
    lengths = rng.integers(0, 3, n_rows)
    pulses = lh5.VectorOfVectors(rng.random(lengths.sum()), lengths.cumsum(), {"units": "ns"})
    hit = {"energy": lh5.Array(3000 * rng.random(n_rows), {"units": "keV"}), "pulses": pulses}
    if key == 1200000:
        hit = {"energy_in_pe": hit["energy"]}
    return {
        "raw": lh5.Table({"waveform": waveform, "eventnumber": lh5.Array(np.arange(n_rows))}),
        "dsp": lh5.Table({"tailEmax": lh5.Array(rng.random(n_rows))}),
        "hit": lh5.Table(hit),
    }


def path_of(root, tier, name):
    _, period, run, datatype = name.split("-")[:4]
    return root / tier / datatype / period / run / f"{name}-tier_{tier}.lh5"


@pytest.fixture(scope="module")
def production(tmp_path_factory):
    """Three cycles of three channels; the events of r001 are in one file, those of r002 in one of its own."""
    root = tmp_path_factory.mktemp("tier")
    events = {}
    for number, cycle in enumerate(CYCLES):
        tables = {key: channel_tables(key, number, 30 + 10 * number) for key in CHANNELS}
        for tier in ("raw", "dsp", "hit"):
            with lh5.Writer(path_of(root, tier, cycle)) as out:
                for key in CHANNELS:
                    out.append(f"ch{key}/{tier}", tables[key][tier])
        rng = np.random.default_rng(number)
        hits = [(key, row) for row in range(30 + 10 * number) for key in CHANNELS if rng.random() < 0.7]
        lengths = []
        while sum(lengths) < len(hits):
            lengths.append(min(int(rng.integers(1, 5)), len(hits) - sum(lengths)))
        ends = np.cumsum(lengths)
        tcm = lh5.Table(
            {
                "table_key": lh5.VectorOfVectors(np.array([key for key, _ in hits]), ends),
                "row_in_table": lh5.VectorOfVectors(np.array([row for _, row in hits]), ends),
            },
            {"tables": str([f"ch{key}/raw" for key in CHANNELS]), "hash_func": r"\d+"},
        )
        with lh5.Writer(path_of(root, "tcm", cycle)) as out:
            out.append("hardware_tcm_1", tcm)
        evt = lh5.Table(
            {
                "trigger": lh5.Table({"is_forced": lh5.Array(rng.random(len(ends)) < 0.3)}),
                "number": lh5.Array(1000 * number + np.arange(len(ends))),
                "ids": tcm["table_key"],
            }
        )
        events.setdefault(cycle.rpartition("-")[0] if number < 2 else cycle, []).append(evt)
    for name, parts in events.items():
        with lh5.Writer(path_of(root, "evt", name)) as out:
            for part in parts:
                out.append("evt", part)
    return root


def each_hit(root, cycles, keys):
    for cycle in cycles:
        with (
            lh5.Reader(path_of(root, "hit", cycle)) as hit,
            lh5.Reader(path_of(root, "raw", cycle)) as raw,
        ):
            for key in keys:
                energy = hit.read(f"ch{key}/hit/energy").values
                values = raw.read(f"ch{key}/raw/waveform/values").values
                yield from ((cycle, key, row, energy[row], values[row]) for row in range(len(energy)))


def test_tiers_are_joined_by_position_and_filtered(production):
    found = load(
        ["hit.energy", "raw.waveform", "hit/pulses"],
        production,
        runs=["l200-p03-r001-cal"],
        where=["hit.energy > 1500", "dsp.tailEmax < 0.5"],
    )
    expected = []
    for cycle, key, row, energy, values in each_hit(production, CYCLES[:2], CHANNELS[:2]):
        tail = lh5.read(path_of(production, "dsp", cycle), f"ch{key}/dsp/tailEmax").values[row]
        if energy > 1500 and tail < 0.5:
            expected.append((cycle.encode(), key, row, energy, values))
    assert found.n_rows == len(expected) > 10
    for index, (cycle, key, row, energy, values) in enumerate(expected):
        assert found["cycle"].values[index] == cycle
        assert (found["rawid"].values[index], found["row"].values[index]) == (key, row)
        assert found["hit"]["energy"].values[index] == energy
        np.testing.assert_array_equal(found["raw"]["waveform"]["values"].values[index], values)
    assert found["hit"]["energy"].attrs["units"] == "keV"
    assert found["raw"]["waveform"].is_waveform


def test_waveforms_of_events(production):
    """Hits of forced events, over the cycles of a run whose events are in one file, and of a run with its own."""
    found = load(
        ["evt.number", "hit.energy", "raw.waveform.values"],
        production,
        where=["evt.trigger.is_forced", "hit.energy > 500"],
    )
    expected = []
    for number, cycle in enumerate(CYCLES):
        tcm = lh5.read(path_of(production, "tcm", cycle), "hardware_tcm_1")
        name = cycle.rpartition("-")[0] if number < 2 else cycle
        evt = lh5.read(path_of(production, "evt", name), "evt")
        mine = np.flatnonzero(evt["number"].values // 1000 == number)
        for event in range(len(tcm["table_key"])):
            for key, row in zip(tcm["table_key"][event], tcm["row_in_table"][event], strict=True):
                if key == 1200000 or not evt["trigger"]["is_forced"].values[mine[event]]:
                    continue
                energy = lh5.read(path_of(production, "hit", cycle), f"ch{key}/hit/energy").values[row]
                if energy > 500:
                    expected.append((cycle.encode(), event, key, row, energy, evt["number"].values[mine[event]]))
    labels = (found[name].values for name in ("cycle", "event", "rawid", "row"))
    values = (found["hit"]["energy"].values, found["evt"]["number"].values)
    assert list(zip(*labels, *values, strict=True)) == expected
    assert len(expected) > 10


def test_rows_as_events(production):
    columns = ["evt.number", "hit.energy", "raw.waveform.values", "hit.pulses"]
    flat = load(columns, production, where="hit.energy > 2000", by="hit")
    events = load(columns, production, where="hit.energy > 2000", by="event")
    np.testing.assert_array_equal(events["hit"]["energy"].flattened_data, flat["hit"]["energy"].values)
    np.testing.assert_array_equal(
        np.repeat(events["evt"]["number"].values, events["rawid"].lengths), flat["evt"]["number"].values
    )
    first = events["raw"]["values"] if "values" in events["raw"] else events["raw"]["waveform"]["values"]
    np.testing.assert_array_equal(first[0][0], flat["raw"]["waveform"]["values"].values[0])
    assert events["hit"]["pulses"].cumulative_length[-1] == flat.n_rows
    assert events["rawid"].lengths.min() == 1
    everything = load(["evt.number", "hit.energy"], production, by="event")
    assert everything.n_rows == sum(lh5.n_rows(p, "evt") for p in production.rglob("*-tier_evt.lh5"))


def test_events_alone_and_mappings(production):
    forced = load(["evt.ids"], production, where="evt.trigger.is_forced & (evt.number > 2)", by="event")
    assert 0 < forced.n_rows < 100
    files = {tier: [path_of(production, tier, c) for c in CYCLES[:2]] for tier in ("hit", "raw", "tcm")}
    files["evt"] = path_of(production, "evt", "l200-p03-r001-cal")
    columns = ["evt.number", "hit.energy"]
    a, b = load(columns, files), load(columns, production, runs=["*-r001-*"])
    np.testing.assert_array_equal(a["evt"]["number"].values, b["evt"]["number"].values)
    assert a["cycle"].values[0] == CYCLES[0].encode()
    empty = load(["hit.energy", "raw.waveform"], files, where="hit.energy > 1e9")
    assert empty.n_rows == 0
    assert empty["raw"]["waveform"]["values"].values.shape == (0, 20)


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        (["energy"], {}, "expected tier.column"),
        ([], {}, "0 columns"),
        (["hit.energy"], {"by": "run"}, "by 'run'"),
        (["hit.energy"], {"runs": ["l200-p99*"]}, "no cycle matches l200-p99"),
        (["hit.nothing"], {}, r"no channel has all of hit.nothing; ch\d+ has no hit/nothing; near it are"),
        (["hit.enrgy"], {}, r"has no hit/enrgy; near it are energy"),
        (["hit.energy"], {"channels": ["ch1200000"]}, "ch1200000 has no hit/energy"),
        (["hit.energy"], {"channels": ["ch77"]}, "no channel ch77; there are ch1104000"),
        (["hit.energy"], {"where": "hit.energy"}, "expected true or false for each"),
        (["hit.energy"], {"where": "hit.pulses > 1"}, "a condition needs plain columns"),
        (
            ["psp.energy", "hit.energy"],
            {},
            "no files psp/…-tier_psp.lh5; directories of tiers there are: dsp, evt, hit",
        ),
        (["*.energy"], {}, "directories of tiers there are"),
        (["hit.*"], {"channels": "*"}, "not all channels or cycles have the columns"),
    ],
)
def test_load_says_what_is_wrong(production, columns, options, message):
    with pytest.raises(LH5Error, match=message):
        load(columns, production, **options)


def test_names_are_taken_as_people_write_them(production, tmp_path):
    plain = load(["hit.energy"], production, runs=["l200-p03-r001-cal"], channels=["ch1104000"])
    for runs, channels in [
        ("r001", 1104000),
        ("p03-r001", [1104000]),
        ("l200-p03-r001-*", "ch1104*"),
        ("r001-cal", "*00"),
    ]:
        found = load("hit.energy", production, runs=runs, channels=channels)
        found = found.rows(found["rawid"].values == 1104000)
        np.testing.assert_array_equal(found["hit"]["energy"].values, plain["hit"]["energy"].values)
    whole = load("hit.*", production, runs="r001", channels=1104000)
    assert set(whole["hit"]) == set(lh5.read(path_of(production, "hit", CYCLES[0]), "ch1104000/hit"))
    with pytest.raises(LH5Error, match="no such directory"):
        load("hit.energy", production / "none")
    (tmp_path / "hit").symlink_to(production / "hit")
    path_of(tmp_path, "psp", CYCLES[0]).parent.mkdir(parents=True)
    with lh5.Writer(path_of(tmp_path, "psp", CYCLES[0])) as out:
        out.append("ch1104000/psp", lh5.Table({"energy": lh5.Array(np.zeros(3))}))
    with pytest.raises(LH5Error, match="has no file of the tier psp"):
        load(["psp.energy", "hit.energy"], tmp_path)


def test_files_that_do_not_belong_together(production, tmp_path):
    hit, dsp, tcm = (path_of(production, tier, CYCLES[0]) for tier in ("hit", "dsp", "tcm"))
    wrong = path_of(production, "dsp", CYCLES[1])
    with pytest.raises(LH5Error, match="different numbers of rows"):
        load(["hit.energy", "dsp.tailEmax"], {"hit": hit, "dsp": wrong})
    with pytest.raises(LH5Error, match="no files of the tiers dsp given"):
        load(["hit.energy", "dsp.tailEmax"], {"hit": hit})
    with pytest.raises(LH5Error, match="give one file of each tier for each cycle"):
        load(["hit.energy", "dsp.tailEmax"], {"hit": hit, "dsp": [dsp, wrong]})
    evt = path_of(production, "evt", CYCLES[2])
    with pytest.raises(LH5Error, match="remake the evt file"):
        load(["hit.energy", "evt.number"], {"hit": hit, "tcm": tcm, "evt": evt})
    both = {"hit": [hit, hit], "tcm": [tcm, tcm], "evt": evt}
    with pytest.raises(LH5Error, match="in the 2 tcm files of the run"):
        load(["hit.energy", "evt.number"], both)
    with lh5.Writer(tmp_path / "two.lh5") as out:
        for name in ("hardware_tcm_1", "hardware_tcm_2"):
            out.write(name, lh5.read(tcm, "hardware_tcm_1"))
    with pytest.raises(LH5Error, match="2 tables hardware_tcm"):
        load(["hit.energy", "evt.number"], {"hit": hit, "tcm": tmp_path / "two.lh5", "evt": evt})


def test_real_production_answers_the_question(testdata):
    """evt <-> dsp and raw <-> hit of public LEGEND-200 files, against plain reads."""
    root = testdata / "lh5" / "l200-truncated" / "generated" / "tier"
    hits = load(["evt.trigger.timestamp", "dsp.timestamp"], root)
    assert hits.n_rows == 2900
    np.testing.assert_array_equal(hits["evt"]["trigger"]["timestamp"].values, hits["dsp"]["timestamp"].values)
    events = load(["evt.spms.rawid", "evt.spms.hit_idx", "dsp.timestamp"], root, by="event")
    spms = events["evt"]["spms"]
    for event in range(events.n_rows):
        wanted = set(zip(spms["rawid"][event].tolist(), spms["hit_idx"][event].tolist(), strict=True))
        assert wanted <= set(zip(events["rawid"][event].tolist(), events["row"][event].tolist(), strict=True))
    root = testdata / "lh5" / "prod-ref-l200" / "generated" / "tier"
    joined = load(["raw.timestamp", "hit.timestamp", "dsp.timestamp"], root, runs=["l200-p03-r001-phy"])
    assert joined.n_rows == 120
    np.testing.assert_array_equal(joined["raw"]["timestamp"].values, joined["hit"]["timestamp"].values)


@given(
    left=st.lists(st.integers(0, 12), max_size=30),
    right=st.lists(st.integers(0, 12), max_size=12, unique=True),
)
@settings(max_examples=80, deadline=None)
def test_join_by_key_is_a_dictionary_look_up(left, right):
    a = lh5.Table({"k": lh5.Array(np.array(left, int)), "x": lh5.Array(np.arange(len(left)))})
    lengths = np.arange(len(right)) % 3
    b = lh5.Table(
        {
            "k": lh5.Array(np.array(right, int)),
            "y": lh5.Array(np.arange(len(right)) * 10, {"units": "s"}),
            "v": lh5.VectorOfVectors(np.arange(lengths.sum()), lengths.cumsum()),
        }
    )
    place = {key: row for row, key in enumerate(right)}
    inner = join_by_key(a, b, ["k"])
    assert inner["x"].values.tolist() == [row for row, key in enumerate(left) if key in place]
    assert inner["y"].values.tolist() == [10 * place[key] for key in left if key in place]
    outer = join_by_key(a, b, ["k"], how="left")
    assert outer.n_rows == len(left)
    for row, key in enumerate(left):
        if key in place:
            assert outer["y"].values[row] == 10 * place[key]
            np.testing.assert_array_equal(outer["v"][row], b["v"][place[key]])
        else:
            assert np.isnan(outer["y"].values[row])
            assert len(outer["v"][row]) == 0


def test_join_by_several_keys():
    a = lh5.Table({"run": lh5.Array(np.array([1, 1, 2])), "name": lh5.Array(np.array([b"A", b"B", b"A"]))})
    b = lh5.Table({**a.rows(np.array([2, 0])).columns, "t": lh5.Table({"z": lh5.Array(np.array([b"x", b"y"]))})})
    assert join_by_key(a, b, ["run", "name"])["t"]["z"].values.tolist() == [b"y", b"x"]
    assert join_by_key(a, b, ["run", "name"], how="left")["t"]["z"].values.tolist() == [b"y", b"", b"x"]


def test_joins_refuse_what_is_ambiguous():
    a = lh5.Table({"k": lh5.Array(np.array([1, 1])), "x": lh5.Array(np.zeros(2))})
    with pytest.raises(LH5Error, match="occurs more than once"):
        join_by_key(a, lh5.Table({"k": a["k"]}), ["k"])
    with pytest.raises(LH5Error, match="both tables have x"):
        join_by_key(a, a, ["k"])
    with pytest.raises(LH5Error, match="numbers of rows differ"):
        join_by_position({"raw": a, "hit": a.rows(slice(0, 1))})
    with pytest.raises(LH5Error, match="no time coincidence map"):
        hits_of_events(a)
    ragged = lh5.VectorOfVectors(np.arange(2), np.array([1, 2]))
    other = lh5.VectorOfVectors(np.arange(2), np.array([0, 2]))
    with pytest.raises(LH5Error, match="different lengths"):
        hits_of_events(lh5.Table({"table_key": ragged, "row_in_table": other}))
    with pytest.raises(LH5Error, match=r"no column 'a\.b'; at 'a' there are: k, x"):
        matches(a, Expression("a.b > 1"))


def test_select_and_group():
    table = lh5.Table({"x": lh5.Array(np.arange(5)), "n": lh5.Table({"y": lh5.Array(np.arange(5) % 2 == 0)})})
    assert select(table, "(x > 1) & n.y")["x"].values.tolist() == [2, 4]
    grouped = group_by_event(table, np.array([0, 0, 2, 2, 2]), np.array([0, 1, 2]))
    assert grouped["x"].lengths.tolist() == [2, 0, 3]
    assert grouped["n"]["y"].cumulative_length.tolist() == [2, 2, 5]
    assert join_by_position({"a": table, "b": table})["b"]["n"]["y"].values.sum() == 3
