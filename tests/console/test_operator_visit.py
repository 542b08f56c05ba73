"""An operator's visit to a tenant's console: every address against the visitor, who sees what a viewer sees and does
nothing; the banner; begin and end in the tenant's log.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobservice.ids import TENANT, show_id
from tenants.audit_checks import verify_chain
from tenants.console.access import ANYONE, OWN_ACCOUNT, STAFF
from tenants.console.session_store import hash_session_key
from tenants.console.visits import VISIT, VISIT_SECONDS
from tenants.members import invite_member
from tenants.models import Account, AuditEvent, LoginSession, Member
from tenants.models import Tenant as TenantRow
from tenants.roles import READ
from tests.console.operating import Operator, make_operator, session_of
from tests.console.people import logged_in
from tests.console.test_access import PAGES, address
from tests.console.visiting import make_person, text_of
from tests.factories import Tenant, make_job

pytestmark = pytest.mark.django_db
END = "/console/operator/visit/end"
# Its addresses name something that the walk does not make.
ABSENT = ("<action_id>", "<group_id>")
# The end of the visit, the logout, and cookies of the browser: nothing of the tenant's.
MAY_BE_DONE = {"EndVisit", "LogOut", "Preferences"}


def begin(operator: Operator, tenant: Tenant, *, reason: str = "ticket 4711") -> Any:
    return operator.post(f"/console/operator/tenants/{show_id(TENANT, tenant.id)}/visit", reason=reason)


def on_visit(tenant: Tenant) -> Operator:
    operator = make_operator()
    assert begin(operator, tenant)["Location"] == "/console/"
    return operator


def visits_of(tenant: Tenant) -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(tenant_id=tenant.id, action__startswith="tenant.visit").order_by("seq"))


def turn_clock(operator: Operator, *, seconds: float) -> None:
    """Let so much of the visit's time go by."""
    row = LoginSession.objects.get(key_hash=hash_session_key(session_of(operator).key))
    visit = {**row.data[VISIT], "until": row.data[VISIT]["until"] - seconds}
    LoginSession.objects.filter(key_hash=row.key_hash).update(data={**row.data, VISIT: visit})


def test_a_visitor_reads_what_a_viewer_reads_and_every_act_of_the_console_is_refused(tenant: Tenant) -> None:
    operator = on_visit(tenant)
    walked = {"read": 0, "refused": 0}
    for name, (method, view, route, permission) in sorted(PAGES.items()):
        if view.is_for_visitors:
            continue
        path = address(route, tenant)
        answer = operator.get(path) if method == "GET" else operator.post(path, confirmed="1", reason="x", name="x")
        if method != "GET":
            assert answer.status_code == 403, name
            assert "You are on a visit, to look only" in text_of(answer), name
            assert f"You look at {tenant.name} as operator" in text_of(answer), name
            walked["refused"] += 1
        elif permission in (READ, STAFF):
            assert answer.status_code == (404 if any(one in route for one in ABSENT) else 200), name
            walked["read"] += 1
        elif permission not in (ANYONE, OWN_ACCOUNT):
            assert answer.status_code == 403, name
    assert walked["read"] > 25
    assert walked["refused"] > 50
    assert {view.__name__ for _, view, _, _ in PAGES.values() if view.is_for_visitors} == MAY_BE_DONE
    assert [one.action for one in AuditEvent.objects.filter(tenant_id=tenant.id, actor_type="operator")] == [
        "tenant.visit-begun"
    ]


def test_a_visitor_redeems_no_invitation_into_the_tenant(tenant: Tenant) -> None:
    operator = on_visit(tenant)
    new = invite_member(tenant.id, email=operator.email, role="owner")
    path = f"/console/invitation/{new.invitation}"
    assert operator.get(path).status_code == 200
    assert operator.post(path).status_code == 403
    assert Member.objects.get(id=new.member_id).status == "invited"
    # After the visit it is the operator's own business, as everybody's.
    operator.post(END)
    assert operator.post(path)["Location"] == "/console/"
    assert Member.objects.get(id=new.member_id).status == "active"


def test_a_visit_whose_time_ran_out_is_ended_by_what_everybody_may_do_too(tenant: Tenant) -> None:
    operator = on_visit(tenant)
    turn_clock(operator, seconds=VISIT_SECONDS + 1)
    assert operator.post("/console/login", email=operator.email, password="x")["Location"] == "/console/operator"
    assert [one.action for one in visits_of(tenant)] == ["tenant.visit-begun", "tenant.visit-ended"]


def test_a_visitor_chooses_colours_for_the_browser(tenant: Tenant) -> None:
    operator = on_visit(tenant)
    assert operator.post("/console/preferences", theme="dark").status_code == 302
    assert operator.kept("console-theme") == "dark"
    assert operator.get("/console/jobs").status_code == 200


def test_methods_that_no_page_has_do_nothing_either(tenant: Tenant) -> None:
    operator = on_visit(tenant)
    for method in ("put", "patch", "delete"):
        assert getattr(operator._client, method)("/console/queues").status_code in (403, 405)


def test_a_visitor_reveals_nothing(tenant: Tenant) -> None:
    job = make_job(tenant, payload={"card": "4012888888881881"}, metadata={"m": "kept-to-itself"})
    operator = on_visit(tenant)
    for part in ("", "/json", "/live"):
        shown = operator.get(f"/console/jobs/{job['id']}{part}").content.decode()
        assert "4012888888881881" not in shown
        assert "kept-to-itself" not in shown
    assert operator.post(f"/console/jobs/{job['id']}/reveal").status_code == 403
    assert operator.post("/console/settings/secret").status_code == 403


def test_every_page_says_whose_console_it_is_and_until_when(tenant: Tenant) -> None:
    operator = on_visit(tenant)
    make_job(tenant, queue="mail")
    for path in ("/console/", "/console/jobs", "/console/queues/mail", "/console/usage", "/console/operator"):
        words = text_of(operator.get(path))
        assert f"You look at {tenant.name} as operator {operator.email} until" in words, path
        assert "End the visit" in words, path


def test_begin_and_end_are_in_the_tenants_log_and_on_its_page(tenant: Tenant) -> None:
    operator = make_operator()
    assert begin(operator, tenant, reason="").status_code == 422
    assert begin(operator, tenant, reason="x" * 201).status_code == 422
    assert visits_of(tenant) == []
    begin(operator, tenant)
    words = text_of(operator.follow(operator.post(END)))
    assert "Your visit is over." in words
    begun, ended = visits_of(tenant)
    assert [begun.action, ended.action] == ["tenant.visit-begun", "tenant.visit-ended"]
    assert {one.actor_type for one in (begun, ended)} == {"operator"}
    after = json.loads(begun.after or "")
    assert after["reason"] == "ticket 4711"
    assert "until" in after
    assert verify_chain(tenant.id).broken is None
    log = make_person(tenant, "admin").get("/console/audit?actor=operator")
    assert "ticket 4711" in text_of(log)
    assert operator.email not in text_of(log)
    # Over: the operator is in no tenant any more.
    assert operator.get("/console/jobs")["Location"] == "/console/operator"
    assert operator.follow(operator.post(END)).status_code == 200


def test_a_visit_ends_by_itself_and_its_end_is_written_once(tenant: Tenant) -> None:
    operator = on_visit(tenant)
    turn_clock(operator, seconds=VISIT_SECONDS - 60)
    assert operator.get("/console/jobs").status_code == 200
    turn_clock(operator, seconds=61)
    answer = operator.get("/console/jobs")
    assert answer["Location"] == "/console/operator"
    assert "Your visit is over." in text_of(operator.follow(answer))
    assert [one.action for one in visits_of(tenant)] == ["tenant.visit-begun", "tenant.visit-ended"]
    assert operator.get("/console/jobs").status_code == 302


def test_a_request_that_was_under_way_brings_no_visit_back(tenant: Tenant) -> None:
    """The key of the session is another one at its begin and its end: who wrote back the old one is interrupted."""
    operator = make_operator()
    keys = [session_of(operator).key]
    begin(operator, tenant)
    keys.append(session_of(operator).key)
    operator.post(END)
    keys.append(session_of(operator).key)
    assert len(set(keys)) == 3
    assert not LoginSession.objects.filter(key_hash__in=[hash_session_key(key) for key in keys[:2]]).exists()


def test_a_logout_ends_the_visit_too(tenant: Tenant) -> None:
    operator = on_visit(tenant)
    operator.post("/console/logout")
    assert [one.action for one in visits_of(tenant)] == ["tenant.visit-begun", "tenant.visit-ended"]


def test_a_visit_to_another_tenant_ends_with_the_one_before(tenant: Tenant, other_tenant: Tenant) -> None:
    operator = on_visit(tenant)
    # From the visit nothing is begun.
    assert begin(operator, other_tenant).status_code == 403
    operator.post(END)
    begin(operator, other_tenant)
    assert other_tenant.name in text_of(operator.get("/console/jobs"))


def test_who_is_no_operator_any_more_is_out_at_once(tenant: Tenant) -> None:
    operator = on_visit(tenant)
    Account.objects.filter(id=operator.account_id).update(is_staff=False)
    assert operator.get("/console/jobs")["Location"] == "/console/"
    assert operator.get("/console/jobs")["Location"] == "/console/tenants"
    assert [one.action for one in visits_of(tenant)] == ["tenant.visit-begun", "tenant.visit-ended"]


def test_a_member_cannot_visit_whatever_the_session_says(tenant: Tenant, other_tenant: Tenant) -> None:
    browser = logged_in(tenant)
    row = browser.session
    visit = {"tenant": str(other_tenant.id), "until": 9e9}
    LoginSession.objects.filter(key_hash=row.key_hash).update(data={**row.data, VISIT: visit})
    make_job(other_tenant, queue="others")
    assert browser.get("/console/queues")["Location"] == "/console/"
    assert "others" not in text_of(browser.get("/console/queues"))


def test_a_suspended_tenant_can_be_visited_and_an_erased_one_is_left(tenant: Tenant) -> None:
    operator = on_visit(tenant)
    TenantRow.objects.filter(id=tenant.id).update(status="suspended")
    assert operator.get("/console/jobs").status_code == 200
    TenantRow.objects.filter(id=tenant.id).update(status="erased", erased_at="2026-01-01T00:00:00Z")
    assert operator.get("/console/jobs")["Location"] == "/console/operator"
