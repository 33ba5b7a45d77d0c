import numpy as np

from pygama_core.daq.summary import MAX_NOTES, MAX_RANGES, Tally


def frozen(tally):
    return tally.freeze("a.fcio", "fcio", 1000)


def test_clean_file():
    tally = Tally()
    tally.count("Event", 3)
    tally.saw_times(np.array([2.0, 1.0]))
    tally.saw_times(np.array([]))
    summary = frozen(tally)
    assert summary.is_clean
    assert summary.dead_time_reliable
    assert (summary.first_timestamp, summary.last_timestamp) == (2.0, 1.0)
    assert "Event" in str(summary)


def test_gaps_are_counted_beyond_the_ranges_kept():
    tally = Tally()
    for k in range(250):
        tally.gap(10 * k, 10 * k + 4)
    summary = frozen(tally)
    assert (summary.n_gaps, summary.records_lost, summary.bytes_skipped) == (250, 250, 1000)
    assert len(summary.skipped) == MAX_RANGES
    assert not summary.dead_time_reliable


def test_adjacent_gaps_are_one_place():
    tally = Tally()
    tally.gap(0, 5)
    tally.gap(5, 9)
    tally.gap(9, 9)
    assert frozen(tally).skipped == ((0, 9),)
    assert frozen(tally).records_lost == 2


def test_notes_are_bounded():
    tally = Tally()
    for k in range(MAX_NOTES + 5):
        tally.note(str(k))
    assert len(frozen(tally).notes) == MAX_NOTES
    assert frozen(tally).n_notes == MAX_NOTES + 5


def test_struct_and_text_tell_everything():
    tally = Tally(truncated_tail=3)
    tally.count("RecEvent", 2, converted=False)
    tally.gap(10, 20)
    tally.note("something")
    tally.rows["fcid_1/evt_hdr"] = 4
    summary = frozen(tally)
    struct = summary.to_struct()
    assert struct["bytes_skipped"].value == 10
    assert struct["skipped"].array("stop").tolist() == [20]
    assert struct["not_converted"]["RecEvent"].value == 2
    assert struct["rows"]["fcid_1_evt_hdr"].value == 4
    assert np.isnan(struct["first_timestamp"].value)
    for text in ("not converted: RecEvent", "bytes 10..20", "last 3 bytes", "unreliable", "note: something"):
        assert text in str(summary)


def test_losses_are_damage_and_not_other_notes():
    tally = Tally()
    tally.note("reading stopped after 5 event records, as asked for")
    assert frozen(tally).is_lossless
    assert not frozen(tally).is_clean
    for damage in (
        lambda t: t.gap(1, 2),
        lambda t: t.damaged_container("cut"),
        lambda t: setattr(t, "truncated_tail", 1),
        lambda t: setattr(t, "records_lost", 1),
    ):
        tally = Tally()
        damage(tally)
        assert not frozen(tally).is_lossless


def test_packet_ids_and_times_are_shown():
    tally = Tally()
    tally.saw_packets(7, 9)
    tally.saw_packets(3, 8)
    tally.saw_times(np.array([12.5]))
    summary = frozen(tally)
    assert (summary.first_packet_id, summary.last_packet_id) == (3, 9)
    assert "3..9" in str(summary)
    assert "12.500000" in str(summary)
    assert summary.to_struct()["last_packet_id"].value == 9
