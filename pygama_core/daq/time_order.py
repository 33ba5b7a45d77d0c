"""Tell a damaged timestamp from a clock that was set anew, by the neighbours in the same channel."""

from __future__ import annotations

from pygama_core.accelerate import kernel_part

NONE = -1  # no such neighbour


@kernel_part
def is_out_of_order(previous: int, time: int, following: int, second: int, tolerance: int) -> bool:
    """Whether only this time disagrees with its neighbours.

    The records of a channel ascend in time. One record that does not is damaged if those around it agree with each
    other; if they do not, the clock started anew (a reset, concatenated files) and nothing is wrong.

    Parameters
    ----------
    previous, following, second : times of the record before and of the two behind, or NONE
    time : the time to judge
    tolerance : disorder that is none, all in the same clock ticks
    """
    if following == NONE:
        return previous != NONE and time < previous - tolerance
    if previous == NONE:
        is_late = time > following + tolerance and second != NONE and time > second + tolerance
        return is_late and following <= second + tolerance
    if following + tolerance < previous:
        return False
    return time < previous - tolerance or time > following + tolerance
