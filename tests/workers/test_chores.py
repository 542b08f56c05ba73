"""What the dispatcher does every so often, and that none of it holds up the rest."""

from __future__ import annotations

import pytest
from django.db import OperationalError

from workers.chores import Chore, do_due_chores

pytestmark = pytest.mark.django_db


def test_a_chore_that_fails_waits_for_its_next_time_and_holds_up_no_other() -> None:
    done: list[str] = []

    def fail() -> None:
        done.append("failed")
        raise OperationalError

    chores = [Chore("first", 60.0, fail), Chore("second", 60.0, lambda: done.append("second"))]
    do_due_chores(chores)
    do_due_chores(chores)
    assert done == ["failed", "second"]


def test_a_chore_that_has_more_to_do_is_due_at_once_and_one_that_has_not_is_not() -> None:
    more = [True, True, False]
    done: list[bool] = []

    def act() -> bool:
        done.append(more.pop(0))
        return done[-1]

    chores = [Chore("prune", 60.0, act)]
    for _ in range(5):
        do_due_chores(chores)
    assert done == [True, True, False]


def test_a_fault_that_is_no_databases_is_not_hidden() -> None:
    def fail() -> None:
        raise ValueError

    with pytest.raises(ValueError):
        do_due_chores([Chore("broken", 60.0, fail)])
