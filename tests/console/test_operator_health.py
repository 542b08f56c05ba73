"""The operators' page Health: what doctor found, who asks for it and who carries it out, and how far rotations are."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from django.db.models.functions import Now

from tenants.models import DataKey, HealthReport
from tenants.operators import (
    fail_examination,
    keep_findings,
    read_clock,
    take_examination,
)
from tests.console.operating import Operator, make_operator
from tests.console.visiting import text_of
from tests.factories import Tenant
from tests.roles import as_role

pytestmark = pytest.mark.django_db


def test_findings_are_shown_with_what_mends_them_the_worst_first(db: None) -> None:
    operator = make_operator()
    assert "Nobody has looked yet" in text_of(operator.get("/console/operator/health"))
    keep_findings(
        [
            {"name": "clock", "status": "ok", "detail": "It agrees.", "fix": ""},
            {"name": "broker", "status": "problem", "detail": "It is away.", "fix": "Start it."},
        ],
        begun_at=read_clock(),
    )
    words = text_of(operator.get("/console/operator/health"))
    assert words.index("It is away. Start it.") < words.index("It agrees.")
    assert "1 problem · 1 ok · looked at" in words


def take() -> datetime | None:
    with as_role("dispatcher"):
        return take_examination(forgotten_seconds=180)


def words_of_health(operator: Operator) -> str:
    return text_of(operator.get("/console/operator/health/checks"))


def test_the_checks_are_asked_for_and_the_wish_stands_until_they_are_carried_out(db: None) -> None:
    operator = make_operator()
    assert take() is None
    operator.post("/console/operator/health/examine")
    operator.post("/console/operator/health/examine")
    assert "The checks are asked for" in words_of_health(operator)
    taken_at = take()
    assert taken_at is not None
    assert take() is None
    assert "Being looked at since" in words_of_health(operator)
    # Who asks meanwhile gets what is under way.
    operator.post("/console/operator/health/examine")
    assert HealthReport.objects.get().taken_at == taken_at
    keep_findings([], begun_at=read_clock())
    row = HealthReport.objects.get()
    assert (row.wanted_at, row.taken_at, row.failure) == (None, None, None)
    assert "Being looked at" not in words_of_health(operator)


def test_what_was_looked_at_before_somebody_asked_fulfils_no_wish(db: None) -> None:
    """The command of a timer ran already: it may have passed what the wish is about."""
    operator, begun_at = make_operator(), read_clock()
    operator.post("/console/operator/health/examine")
    keep_findings([{"name": "clock", "status": "ok", "detail": "It agrees.", "fix": ""}], begun_at=begun_at)
    assert "It agrees." in words_of_health(operator)
    assert "The checks are asked for" in words_of_health(operator)
    assert take() is not None


@pytest.mark.parametrize(
    ("failure", "words"),
    [("not-begun", "could not begin"), ("cannot-look", "kept nothing"), ("too-long", "lasted too long")],
)
def test_checks_that_come_to_nothing_are_told_and_asked_for_again(db: None, failure: str, words: str) -> None:
    operator = make_operator()
    operator.post("/console/operator/health/examine")
    taken_at = take()
    assert taken_at is not None
    with as_role("dispatcher"):
        assert fail_examination(taken_at, failure)
    shown = words_of_health(operator)
    assert words in shown
    assert "manage.py doctor --keep" in shown
    assert "Being looked at" not in shown
    # Not again and again by itself, however long ago it was.
    HealthReport.objects.update(taken_at=Now() - timedelta(hours=1))
    assert take() is None
    operator.post("/console/operator/health/examine")
    assert words not in words_of_health(operator)
    assert take() is not None


def test_a_failure_is_of_the_wish_that_was_taken_and_of_none_after_it(db: None) -> None:
    operator = make_operator()
    operator.post("/console/operator/health/examine")
    taken_at = take()
    assert taken_at is not None
    keep_findings([], begun_at=read_clock())
    operator.post("/console/operator/health/examine")
    with as_role("dispatcher"):
        assert not fail_examination(taken_at, "cannot-look")
    assert HealthReport.objects.get().failure is None


def test_the_wish_of_a_dispatcher_that_died_is_taken_by_another(db: None) -> None:
    make_operator().post("/console/operator/health/examine")
    assert take() is not None
    HealthReport.objects.update(taken_at=Now() - timedelta(seconds=179))
    assert take() is None
    HealthReport.objects.update(taken_at=Now() - timedelta(seconds=181))
    assert take() is not None


def test_the_progress_of_rotations_is_shown(tenant: Tenant, other_tenant: Tenant) -> None:
    operator = make_operator()
    whole = text_of(operator.get("/console/operator/health"))
    assert "Root key: whole" in whole
    assert "No tenant's key is being rotated" in whole
    key = DataKey.objects.filter(tenant_id=tenant.id, purpose="data").get()
    other = b"K1\x02" + (7).to_bytes(4, "big") + bytes(key.wrapped)[7:]
    DataKey.objects.filter(id=key.id).update(wrapped=other)
    DataKey.objects.create(
        id=UUID(int=1), tenant_id=other_tenant.id, purpose="data", version=2, wrapped=bytes(key.wrapped)
    )
    words = text_of(operator.get("/console/operator/health"))
    assert "Root key: under way" in words
    assert "Under version 7 1 key" in words
    assert f"{other_tenant.name} 1 → 2" in words
