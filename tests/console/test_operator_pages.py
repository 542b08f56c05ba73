"""The operators' pages: what they show, who may, and their acts as the tenants' logs tell of them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.db import connection

from jobservice.ids import ACCOUNT, JOB, TENANT, parse_id, show_id
from jobservice.jobs.operator_figures import list_tenant_figures
from tenants.audit_checks import verify_chain
from tenants.console.access import STAFF
from tenants.models import Account, AuditEvent
from tenants.models import Tenant as TenantRow
from tenants.plans import set_plan
from tenants.quotas import parse_change
from tests.console.operating import make_operator, session_of
from tests.console.people import logged_in
from tests.console.test_access import PAGES, address
from tests.console.visiting import text_of
from tests.factories import Tenant, make_job, make_tenant
from tests.jobs.dispatching import claim
from tests.roles import as_role
from tests.security.audit_entries import CONSOLE_OPERATOR

pytestmark = pytest.mark.django_db


def page_of(tenant: Tenant, act: str = "") -> str:
    return f"/console/operator/tenants/{show_id(TENANT, tenant.id)}{act}"


def acts_of(tenant: Tenant) -> list[tuple[str, str, str | None, Any]]:
    """Type of actor, act, command and what is after it, of the acts after the tenant was made."""
    events = AuditEvent.objects.filter(tenant_id=tenant.id).exclude(actor_type="service").order_by("seq")
    return [(one.actor_type, one.action, one.command, one.after and json.loads(one.after)) for one in events]


def make_waiting_job(tenant: Tenant, *, seconds: int) -> None:
    """One in queue mail that has been due for so long."""
    job = parse_id(JOB, make_job(tenant, queue="mail")["id"])
    earlier = "due_at = due_at - make_interval(secs => %(by)s), rank = rank - make_interval(secs => %(by)s)"
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE job_live SET {earlier} WHERE job_id = %(job)s", {"by": seconds, "job": job})


def revision_in(answer: Any) -> str:
    found = re.search(r'name="revision" value="([^"]+)"', answer.content.decode())
    assert found is not None
    return found[1]


# Who may -----------------------------------------------------------------------------------------------------------


def test_an_operator_without_a_second_factor_is_led_to_make_one(tenant: Tenant) -> None:
    operator = make_operator(has_factor=False)
    for method, _, route, permission in PAGES.values():
        if permission == STAFF:
            path = address(route, tenant)
            answer = operator.get(path) if method == "GET" else operator.post(path)
            assert answer["Location"] == "/console/account/factors", route


def test_each_act_of_an_operator_wants_a_fresh_proof_but_the_end_of_a_visit(tenant: Tenant) -> None:
    operator = make_operator(is_proved=False)
    acts = [page for page in PAGES.values() if page[3] == STAFF and page[0] == "POST"]
    assert len(acts) >= 6
    for _, view, route, _ in acts:
        answer = operator.post(address(route, tenant), reason="to see")
        expected = "/console/operator" if view.is_for_visitors else "/console/step-up?next="
        assert answer["Location"].startswith(expected), route
    assert acts_of(tenant) == []


def test_the_navigation_shows_the_operators_pages_to_operators_who_are_in_no_tenant_too(tenant: Tenant) -> None:
    operator = make_operator()
    assert operator.get("/console/")["Location"] == "/console/operator"
    shown = operator.get("/console/operator").content.decode()
    assert 'data-jump="t"' in shown
    assert 'href="/console/operator/health"' in shown
    assert 'href="/console/jobs"' not in shown


# Tenants -----------------------------------------------------------------------------------------------------------


def test_the_table_shows_shares_waits_and_what_is_open(db: None) -> None:
    heavy, light, _idle = make_tenant("heavy"), make_tenant("light"), make_tenant("idle")
    TenantRow.objects.filter(id=heavy.id).update(weight=3)
    for tenant in (heavy, heavy, light, light):
        make_job(tenant)
    with as_role("dispatcher"):
        claim(limit=2)
    operator = make_operator()
    with as_role("web"):
        page = list_tenant_figures(session_of(operator), limit=50)
    figures = {one.name: one for one in page.tenants}
    assert page.running == 2
    assert [figures[name].fair_share for name in ("heavy", "light", "idle")] == [0.75, 0.25, None]
    assert sum(figures[name].share or 0 for name in ("heavy", "light")) == 1
    assert {figures[name].open_jobs for name in ("heavy", "light")} == {2}
    assert sum(one.waiting for one in page.tenants) == 2
    assert (figures["idle"].oldest_wait_seconds, figures["idle"].running, figures["idle"].waiting) == (None, 0, 0)
    words = text_of(operator.get("/console/operator"))
    assert "3 tenants" in words
    assert "/ 75 %" in words
    assert "no work" in words


def test_the_longest_wait_comes_first_and_a_paused_or_suspended_one_is_none(db: None) -> None:
    late, later, paused, suspended = (make_tenant(name) for name in ("b-late", "a-later", "c-paused", "d-suspended"))
    make_waiting_job(paused, seconds=5000)
    make_waiting_job(suspended, seconds=5000)
    operator = make_operator()
    logged_in(paused).post("/console/queues/mail/pause")
    operator.post(page_of(suspended, "/suspend"), reason="unpaid")
    with as_role("dispatcher"):
        assert claim() == []
    make_waiting_job(late, seconds=900)
    make_waiting_job(later, seconds=60)
    with as_role("web"):
        by_wait = list_tenant_figures(session_of(operator), limit=50).tenants
        by_name = list_tenant_figures(session_of(operator), by_wait=False, limit=2, skip=1).tenants
    assert [one.name for one in by_wait[:2]] == ["b-late", "a-later"]
    assert [one.oldest_wait_seconds for one in by_wait[2:]] == [None, None]
    assert [one.name for one in by_name] == ["b-late", "c-paused"]


def test_the_table_is_searched_by_the_beginning_of_names_and_paged(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenants.console.operator_tenants.PAGE_SIZE", 2)
    for name in ("Acme 1", "acme 2", "acme 3", "other", "100% _"):
        make_tenant(name)
    operator = make_operator()
    first = operator.get("/console/operator?name=ACME&sort=name")
    assert "3 tenants" in text_of(first)
    assert "acme 3" not in text_of(first)
    assert "acme 3" in text_of(operator.get("/console/operator?name=ACME&sort=name&page=2"))
    assert "No tenant of that name" in text_of(operator.get("/console/operator?name=%25"))
    for query in ("page=0", "page=x", "page=99999999", "sort=x", "name=%00"):
        assert operator.get(f"/console/operator?{query}").status_code == 200, query


def test_rows_that_are_as_they_were_are_not_sent_again(tenant: Tenant) -> None:
    operator = make_operator()
    first = operator.get("/console/operator/rows")
    assert tenant.name in text_of(first)
    assert operator.get("/console/operator/rows", If_None_Match=first["ETag"]).status_code == 304


# Acts --------------------------------------------------------------------------------------------------------------


def test_a_tenant_is_suspended_and_resumed_for_a_reason_that_its_log_tells(tenant: Tenant, api: Any) -> None:
    operator = make_operator()
    make_job(tenant)
    assert "The reason has 1 to 200" in text_of(operator.post(page_of(tenant, "/suspend"), reason=" "))
    words = text_of(operator.follow(operator.post(page_of(tenant, "/suspend"), reason="unpaid since May")))
    assert "is suspended: nothing of it starts" in words
    assert "unpaid since May" in words
    assert operator.email in words
    assert api.post("/v1/jobs", {"type": "echo"}, key=tenant.api_key).status_code == 403
    with as_role("dispatcher"):
        assert claim() == []
    operator.post(page_of(tenant, "/resume"), reason="paid")
    assert api.post("/v1/jobs", {"type": "echo"}, key=tenant.api_key).status_code == 201
    assert acts_of(tenant) == [
        ("operator", "tenant.suspended", "console", {"reason": "unpaid since May"}),
        ("operator", "tenant.resumed", "console", {"reason": "paid"}),
    ]
    event = AuditEvent.objects.get(tenant_id=tenant.id, action="tenant.suspended")
    account = parse_id(ACCOUNT, event.actor_id)
    assert account is not None
    assert Account.objects.get(id=account).email == operator.email
    assert event.address is None


def test_every_page_on_which_an_operator_acts_is_listed() -> None:
    assert {page[2] for page in PAGES.values() if page[0] == "POST" and page[3] == STAFF} == set(CONSOLE_OPERATOR)


@pytest.mark.parametrize("route", sorted(CONSOLE_OPERATOR))
def test_each_act_is_written_down_once_by_the_operator_and_the_chain_holds(tenant: Tenant, route: str) -> None:
    operator = make_operator()
    form = {"reason": "a reason", "weight": "7", "confirmed": "1"}
    form["revision"] = revision_in(operator.get(page_of(tenant)))
    if route.endswith("/end"):
        operator.post(page_of(tenant, "/visit"), reason="a reason")
    before = AuditEvent.objects.filter(tenant_id=tenant.id).count()
    assert operator.post(address(route, tenant), **form).status_code == 302
    events = AuditEvent.objects.filter(tenant_id=tenant.id, seq__gt=before).exclude(actor_type="service")
    me = ("operator", show_id(ACCOUNT, operator.account_id), "console")
    expected = CONSOLE_OPERATOR[route]
    found = [(one.action, one.actor_type, one.actor_id, one.command) for one in events]
    assert found == ([] if expected is None else [(expected, *me)])
    assert verify_chain(tenant.id).broken is None


def test_a_raised_limit_lets_what_waits_for_it_go_on_at_once(tenant: Tenant) -> None:
    operator = make_operator()
    for limit, claimed in (("1", 1), ("3", 2)):
        revision = revision_in(operator.get(page_of(tenant)))
        wanted = {"weight": "1", "plan": "", "running": limit, "revision": revision, "confirmed": "1"}
        assert operator.post(page_of(tenant, "/limits"), **wanted).status_code == 302
        for _ in range(2):
            make_job(tenant)
        assert len(claim()) == claimed
        assert claim() == []


def test_limits_are_shown_before_and_after_and_then_changed_with_plan_and_weight(tenant: Tenant, api: Any) -> None:
    set_plan("pro", parse_change(["open_jobs=500", "queues=7"]))
    operator = make_operator()
    revision = revision_in(operator.get(page_of(tenant)))
    wanted = {"weight": "4", "plan": "pro", "open_jobs": "250", "running": "null", "revision": revision}
    shown = text_of(operator.post(page_of(tenant, "/limits"), **wanted))
    for words in (
        "Weight 1 → 4",
        "Plan none → pro",
        "open_jobs 100,000 → 250",
        "queues 100 → 7",
        "running 200 → no limit",
    ):
        assert words in shown
    assert acts_of(tenant) == []
    done = operator.follow(operator.post(page_of(tenant, "/limits"), **wanted, confirmed="1"))
    assert "The limits are changed" in text_of(done)
    read = api.get("/v1/tenant", key=tenant.api_key).json()
    assert (read["plan"], read["weight"]) == ("pro", 4)
    assert [read["limits"][name] for name in ("open_jobs", "queues", "running")] == [250, 7, None]
    assert [act[:3] for act in acts_of(tenant)] == [
        ("operator", "tenant.quotas-updated", "console"),
        ("operator", "tenant.updated", "console"),
    ]
    late = operator.follow(operator.post(page_of(tenant, "/limits"), **{**wanted, "weight": "9"}, confirmed="1"))
    assert "Somebody else changed the tenant" in text_of(late)
    assert TenantRow.objects.get(id=tenant.id).weight == 4


def test_what_is_no_limit_is_told_at_its_field_and_what_changes_nothing_is_no_act(tenant: Tenant) -> None:
    operator = make_operator()
    wrong = {"weight": "0", "plan": "gold", "open_jobs": "many", "payload_bytes": "null"}
    answer = operator.post(page_of(tenant, "/limits"), **wrong, confirmed="1")
    assert answer.status_code == 422
    words = text_of(answer)
    for fault in ("no whole number from 1", "There is no such plan", "open_jobs must be", "payload_bytes must be"):
        assert fault in words
    same = operator.post(page_of(tenant, "/limits"), weight="1", plan="", confirmed="1", revision="x")
    assert "Nothing was changed" in text_of(operator.follow(same))
    assert acts_of(tenant) == []


@pytest.mark.parametrize("text", ["tnt_01h455vb4pex5vsknk084sn02q", "nothing"])
def test_a_tenant_that_there_is_not_is_not_found(db: None, text: str) -> None:
    operator = make_operator()
    assert operator.get(f"/console/operator/tenants/{text}").status_code == 404
    for act in ("limits", "suspend", "resume", "visit"):
        assert operator.post(f"/console/operator/tenants/{text}/{act}", reason="x", weight="2").status_code == 404
