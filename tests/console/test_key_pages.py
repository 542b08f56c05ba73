"""API keys in the console: made within what the member may do themselves, shown once, rotated, revoked."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlsplit

import pytest

from jobservice.errors import Forbidden
from jobservice.ids import API_KEY, show_id
from tenants.api_key_actors import MemberOfKeys
from tenants.api_key_changes import make_api_key, revoke_api_key, rotate_api_key
from tenants.api_key_rights import KeyRights
from tenants.api_keys import SCOPES, authenticate, create_api_key
from tenants.console.key_form import SCOPE_WORDS
from tenants.context import tenant_tx
from tenants.models import ApiKey, AuditEvent, Member
from tenants.models import Tenant as TenantRow
from tenants.roles import PERMISSIONS, scopes_of
from tests.console.people import logged_in
from tests.console.visiting import make_person, text_of
from tests.factories import make_job

pytestmark = pytest.mark.django_db
KEY = re.compile(r"js_live_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}")
NEW = {"name": "billing", "scopes": "jobs:read", "expires": "30"}
# Scopes with which there is something to look at, or a job to try.
HARMLESS = {"jobs:read", "jobs:write", "tenant:read", "webhooks:write", "audit:read"}


def make_key(tenant: Any, *scopes: str, name: str = "first") -> str:
    with tenant_tx(tenant.id):
        key_id, _text = create_api_key(tenant.id, name=name, scopes=scopes or ("jobs:read",))
    return show_id(API_KEY, key_id)


def actor_of(tenant: Any, role: str = "owner", *, payloads: bool = False) -> MemberOfKeys:
    person = make_person(tenant, role, may_read_payloads=payloads)
    return MemberOfKeys(tenant.id, person.member_id, role, payloads)


def test_the_list_shows_the_tenants_keys_and_no_others(tenant: Any, other_tenant: Any) -> None:
    make_key(tenant, "jobs:read", "audit:read", name="<b>reporting</b>")
    make_key(other_tenant, name="foreign")
    page = make_person(tenant, "admin").get("/console/keys")
    assert "&lt;b&gt;reporting" in page.content.decode()
    assert "<b>reporting" not in page.content.decode()
    assert "audit:read" in text_of(page)
    assert "foreign" not in text_of(page)


def test_without_keys_the_page_says_what_one_is(tenant: Any) -> None:
    ApiKey.objects.filter(tenant_id=tenant.id).delete()
    assert "A key lets a program of yours call the API" in text_of(make_person(tenant).get("/console/keys"))


def test_a_key_is_made_shown_once_and_works(tenant: Any) -> None:
    browser = logged_in(tenant)
    form = {**NEW, "queues": "mail, invoices", "cidrs": "192.0.2.0/24"}
    answer = browser.post("/console/keys/new", form)
    found = KEY.search(text_of(answer))
    assert found is not None
    assert f"Bearer {found[0]}" in text_of(answer)
    assert "no-store" in answer["Cache-Control"]
    credential = authenticate(found[0])
    assert credential is not None
    assert (credential.queues, credential.cidrs) == (("mail", "invoices"), ("192.0.2.0/24",))
    assert credential.expires_at is not None
    page = text_of(browser.get("/console/keys"))
    assert "billing" in page
    assert not KEY.search(page)


@pytest.mark.parametrize("queues", ["", "mail"])
@pytest.mark.parametrize("scope", SCOPES)
def test_the_line_beside_a_new_key_is_one_that_the_key_may_send(api: Any, tenant: Any, scope: str, queues: str) -> None:
    person = make_person(tenant, may_read_payloads=True)
    shown = text_of(person.post("/console/keys/new", name="n", scopes=scope, queues=queues, expires="30"))
    line = re.search(r"curl -sS (?P<url>\S+) .*?Bearer (?P<key>\S+)\"(?:.*? -d '(?P<body>[^']+)')?", shown)
    assert (line is not None) == (scope in HARMLESS and not (scope == "audit:read" and queues))
    if line is not None:
        path, body = urlsplit(line["url"]).path, line["body"] and json.loads(line["body"])
        answer = api.post(path, body, key=line["key"]) if body else api.get(path, key=line["key"])
        assert answer.status_code in (200, 201), answer.content


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"name": ""}, "name must have 1 to 100 printable characters"),
        ({"scopes": ""}, "A scope is one of"),
        ({"scopes": "everything"}, "A scope is one of"),
        ({"queues": "Mail!"}, "A queue's name is"),
        ({"cidrs": "here"}, "A network is such as"),
        ({"expires": "7"}, "expires_at must be an RFC 3339 time"),
    ],
)
def test_what_cannot_be_a_key_is_told_and_what_was_typed_stays(tenant: Any, form: dict[str, str], words: str) -> None:
    answer = logged_in(tenant).post("/console/keys/new", {**NEW, "queues": "kept", **form})
    assert answer.status_code == 422
    assert words in text_of(answer)
    assert form.get("queues", "kept") in answer.content.decode()


def test_every_scope_is_offered_and_belongs_to_one_permission() -> None:
    assert set(SCOPE_WORDS) == set(SCOPES) == scopes_of(frozenset(PERMISSIONS))


@pytest.mark.parametrize("role", ["owner", "admin"])
def test_who_may_not_see_payloads_makes_no_key_that_may(tenant: Any, role: str) -> None:
    answer = logged_in(tenant, role).post("/console/keys/new", {**NEW, "scopes": "payloads:read"})
    assert answer.status_code == 403
    assert "you may not give it payloads:read" in text_of(answer)
    blind, seeing = actor_of(tenant, role), actor_of(tenant, role, payloads=True)
    rights = KeyRights(frozenset({"jobs:read", "payloads:read"}))
    with pytest.raises(Forbidden):
        make_api_key(blind, name="x", rights=rights)
    made = make_api_key(seeing, name="x", rights=rights)
    with pytest.raises(Forbidden):
        rotate_api_key(blind, made.key.id)
    assert rotate_api_key(seeing, made.key.id) is not None
    # To take one away gives nobody anything.
    assert revoke_api_key(blind, made.key.id)


def test_a_key_of_an_admin_erases_what_the_admin_may_not_and_both_are_written_down(tenant: Any, api: Any) -> None:
    job, admin = make_job(tenant), logged_in(tenant, "admin")
    assert api.post(f"/v1/jobs/{job['id']}/cancel", key=tenant.api_key).status_code == 200
    assert admin.post(f"/console/jobs/{job['id']}/erase").status_code == 403
    found = KEY.search(text_of(admin.post("/console/keys/new", {**NEW, "scopes": "jobs:write"})))
    assert found is not None
    assert api.delete(f"/v1/jobs/{job['id']}", key=found[0]).status_code == 204
    made, erased = AuditEvent.objects.filter(tenant_id=tenant.id).order_by("-seq")[:2][::-1]
    assert (made.action, made.actor_type) == ("api-key.created", "member")
    assert (erased.action, erased.actor_type, erased.actor_id) == ("job.erased", "api-key", made.object_id)


@pytest.mark.parametrize("change", [{"status": "removed"}, {"role": "viewer"}, {"may_read_payloads": True}])
def test_a_member_who_was_changed_meanwhile_makes_no_key(tenant: Any, change: dict[str, Any]) -> None:
    actor = actor_of(tenant)
    Member.objects.filter(id=actor.member_id).update(**change)
    with pytest.raises(Forbidden, match="Your role in this tenant has changed"):
        make_api_key(actor, name="x", rights=KeyRights(frozenset({"jobs:read"})))


def test_the_quota_of_keys_holds_in_the_console_too(tenant: Any) -> None:
    TenantRow.objects.filter(id=tenant.id).update(quotas={"api_keys": 1})
    make_key(tenant)
    assert logged_in(tenant).post("/console/keys/new", NEW).status_code == 429


def test_a_key_is_rotated_with_an_overlap(tenant: Any) -> None:
    browser = logged_in(tenant)
    old = KEY.search(text_of(browser.post("/console/keys/new", NEW)))
    key = ApiKey.objects.get(name="billing")
    path = f"/console/keys/{show_id(API_KEY, key.id)}/rotate"
    assert "Rotate billing" in text_of(browser.get(path))
    new = KEY.search(text_of(browser.post(path, {"overlap_seconds": "3600"})))
    assert old is not None
    assert new is not None
    assert authenticate(old[0]) is not None
    assert authenticate(new[0]) is not None
    assert "Two texts" in text_of(browser.get("/console/keys"))
    browser.post(path, {"overlap_seconds": "0"})
    assert authenticate(old[0]) is None
    assert authenticate(new[0]) is None
    assert browser.post(path, {"overlap_seconds": "x"}).status_code == 422
    assert browser.post(path, {"overlap_seconds": "99999999"}).status_code == 422


def test_a_key_is_revoked_at_once_and_is_not_rotated_then(tenant: Any) -> None:
    browser = logged_in(tenant)
    made = KEY.search(text_of(browser.post("/console/keys/new", NEW)))
    path = f"/console/keys/{show_id(API_KEY, ApiKey.objects.get(name='billing').id)}"
    assert "Revoke billing?" in text_of(browser.get(f"{path}/revoke"))
    assert browser.post(f"{path}/revoke").status_code == 302
    assert made is not None
    assert authenticate(made[0]) is None
    assert "Revoked" in text_of(browser.get("/console/keys"))
    assert browser.post(f"{path}/rotate", {"overlap_seconds": "0"}).status_code == 302
    assert "revoked or expired" in text_of(browser.get("/console/keys"))
    last = AuditEvent.objects.filter(tenant_id=tenant.id).order_by("-seq")[0]
    assert (last.action, last.actor_type) == ("api-key.revoked", "member")


@pytest.mark.parametrize("act", ["rotate", "revoke"])
def test_anothers_key_is_as_unknown(tenant: Any, other_tenant: Any, act: str) -> None:
    browser, foreign = logged_in(tenant), make_key(other_tenant)
    for key_id in (foreign, "key_01h455vb4pex5vsknk084sn02q", "nothing"):
        assert browser.get(f"/console/keys/{key_id}/{act}").status_code == 404
        assert browser.post(f"/console/keys/{key_id}/{act}", {"overlap_seconds": "0"}).status_code == 404
    assert ApiKey.objects.get(tenant_id=other_tenant.id, name="first").revoked_at is None


def test_the_list_goes_on_by_its_address(tenant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenants.console.keys.PAGE_SIZE", 1)
    ApiKey.objects.filter(tenant_id=tenant.id).delete()
    make_key(tenant, name="older")
    make_key(tenant, name="newer")
    visitor = make_person(tenant)
    first = visitor.get("/console/keys")
    assert "newer" in text_of(first)
    found = re.search(r'href="(/console/keys\?cursor=[^"]+)"', first.content.decode())
    assert found is not None
    assert "older" in text_of(visitor.get(found[1]))
    assert visitor.get("/console/keys?cursor=nonsense").status_code == 422
