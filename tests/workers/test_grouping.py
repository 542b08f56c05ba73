"""Which jobs share a message, and how many may be claimed at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobservice.crypto.message_mac import Ref
from jobservice.ids import new_id
from jobservice.jobs.claims import Claim
from jobservice.jobs.fleet import Capacity
from workers.grouping import EGRESS_GROUP_LIMIT, GROUP_LIMIT, group_for_egress, group_for_handlers

TENANT = new_id()
RUN_TIMES = {"quick": 0.5, "slow": 400.0}


def claim(job_type: str = "quick", *, crash_count: int = 0) -> Claim:
    return Claim(Ref(TENANT, new_id(), 1), job_type, crash_count)


def test_short_jobs_share_a_message_and_are_spread_over_the_slots() -> None:
    groups = group_for_handlers([claim() for _ in range(10)], slots=2, jobs_per_slot=50, run_times=RUN_TIMES)
    assert [len(group) for group in groups] == [5, 5]


@pytest.mark.parametrize("lonely", [claim("slow"), claim("never-seen"), claim(crash_count=1)])
def test_a_job_that_could_hurt_its_neighbours_travels_alone(lonely: Claim) -> None:
    groups = group_for_handlers([claim(), lonely, claim()], slots=1, jobs_per_slot=50, run_times=RUN_TIMES)
    assert [lonely.ref] in groups
    assert [len(group) for group in groups] == [2, 1]


@given(
    kinds=st.lists(st.sampled_from(["quick", "slow", "never-seen"]), max_size=200),
    slots=st.integers(0, 8),
    jobs_per_slot=st.integers(1, 100),
)
def test_every_claim_is_in_exactly_one_group_of_bounded_size(kinds: list[str], slots: int, jobs_per_slot: int) -> None:
    claims = [claim(kind) for kind in kinds]
    groups = group_for_handlers(claims, slots=slots, jobs_per_slot=jobs_per_slot, run_times=RUN_TIMES)
    assert sorted(ref.id for group in groups for ref in group) == sorted(claimed.ref.id for claimed in claims)
    assert all(0 < len(group) <= min(GROUP_LIMIT, jobs_per_slot) for group in groups)


def test_the_egress_takes_any_jobs_together_up_to_a_messages_size() -> None:
    refs = [claim().ref for _ in range(EGRESS_GROUP_LIMIT + 1)]
    assert [len(group) for group in group_for_egress(refs)] == [EGRESS_GROUP_LIMIT, 1]


@pytest.mark.parametrize(
    ("capacity", "expected"),
    [
        (Capacity(slots=0, busy_slots=0, dispatched=0, jobs_per_slot=1, run_times={}), 0),
        (Capacity(slots=2, busy_slots=0, dispatched=0, jobs_per_slot=1, run_times={}), 4),
        (Capacity(slots=2, busy_slots=0, dispatched=3, jobs_per_slot=1, run_times={}), 1),
        # Nobody waits behind a long job; a group of short ones may wait behind another.
        (Capacity(slots=2, busy_slots=2, dispatched=0, jobs_per_slot=1, run_times={}), 0),
        (Capacity(slots=2, busy_slots=2, dispatched=0, jobs_per_slot=50, run_times={}), 100),
        (Capacity(slots=2, busy_slots=5, dispatched=9, jobs_per_slot=1, run_times={}), 0),
        # While enough waits to keep every slot busy, what comes in gathers.
        (Capacity(slots=2, busy_slots=0, dispatched=3, jobs_per_slot=50, run_times={}), 197),
        (Capacity(slots=2, busy_slots=0, dispatched=4, jobs_per_slot=50, run_times={}), 0),
    ],
)
def test_credits_follow_the_free_slots(capacity: Capacity, expected: int) -> None:
    assert capacity.credits == expected
