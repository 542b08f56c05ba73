"""Whose turn it is: as many as the definition of start-time fair queueing gives, taken one by one."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from jobservice.jobs.turns import Rate, give_turns


@dataclass(frozen=True, slots=True)
class Waiter:
    vtime: float
    weight: int = 1
    room: float = inf


# Whole quarters, of which a turn of weight 1, 2 or 4 makes exact ones: so both ways agree on ties.
VTIMES = st.integers(0, 4_000).map(lambda quarters: quarters / 4)
WAITERS = st.builds(
    Waiter, vtime=VTIMES, weight=st.sampled_from([1, 2, 4]), room=st.one_of(st.just(inf), st.integers(0, 60))
)


def give_one_by_one(waiting: list[Waiter], limit: int) -> list[int]:
    """The smallest start tags win, and of equal ones the first."""
    given_to = [0] * len(waiting)
    for _ in range(limit):
        tags = [
            (one.vtime + given_to[at] / one.weight, at) for at, one in enumerate(waiting) if given_to[at] < one.room
        ]
        if not tags:
            break
        given_to[min(tags)[1]] += 1
    return given_to


@given(st.lists(WAITERS, max_size=20), st.integers(0, 300))
def test_turns_are_given_as_the_definition_says(waiting: list[Waiter], limit: int) -> None:
    assert give_turns(waiting, limit) == give_one_by_one(waiting, limit)


@given(
    st.lists(st.builds(Waiter, vtime=st.floats(0, 1e12), weight=st.integers(1, 100)), min_size=1), st.integers(1, 500)
)
def test_whatever_the_turns_are_all_are_given(waiting: list[Waiter], limit: int) -> None:
    assert sum(give_turns(waiting, limit)) == limit


def test_weights_divide_and_who_is_behind_catches_up() -> None:
    assert give_turns([Waiter(0), Waiter(0, weight=3)], 8) == [2, 6]
    assert give_turns([Waiter(0), Waiter(6)], 10) == [8, 2]
    assert give_turns([Waiter(0, room=2), Waiter(0)], 10) == [2, 8]


def test_a_bucket_gives_what_it_does_not_lack_and_says_when_there_is_more() -> None:
    rate = Rate(interval_seconds=0.5, burst=4, lacking_seconds=0.6)
    assert rate.tokens == 2
    assert rate.lacking_after(2) == 1.6
    # Full but for three of its four starts, there is one to give: in a tenth of a second.
    assert abs(rate.seconds_to_token(2) - 0.1) < 1e-9
