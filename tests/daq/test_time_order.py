import pytest

from pygama_core.daq.time_order import NONE, is_out_of_order


@pytest.mark.parametrize(
    ("previous", "time", "following", "second", "expected"),
    [
        (100, 110, 120, 130, False),
        (100, 900, 120, 130, True),
        (100, 5, 120, 130, True),
        (100, 95, 120, 130, False),  # within the tolerance
        (100, 10**6, 10**6 + 1, 10**6 + 2, False),  # a long pause
        (10**6, 5, 6, 7, False),  # the clock started anew
        (10**6, 10**6 + 5, 6, 7, False),  # the last one before that
        (100, 110, 5, 130, False),  # the one behind is the damaged one
        (100, 50, NONE, NONE, True),
        (100, 10**6, NONE, NONE, False),  # nothing contradicts it
        (NONE, 900, 120, 130, True),
        (NONE, 100, 5, 120, False),
        (NONE, 5, 120, 130, False),
        (NONE, 5, NONE, NONE, False),
    ],
)
def test_only_the_time_that_disagrees_is_damaged(previous, time, following, second, expected):
    assert is_out_of_order(previous, time, following, second, 10) == expected
