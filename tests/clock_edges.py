"""For tests of what is counted by minute or hour: what they count must not come to lie on both sides of an edge."""

from __future__ import annotations

import time


def begin_within(step_seconds: float, *, room_seconds: float = 10.0) -> None:
    """Wait for the next step of the clock when less than the room is left of this one: most times that is at once."""
    left = step_seconds - time.time() % step_seconds
    if left < room_seconds:
        time.sleep(left)
