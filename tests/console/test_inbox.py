"""The inbox of `make run`: it takes what this installation sends to a tenant's own address, and nothing else."""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.test import Client

from jobservice.ids import TENANT, show_id
from jobservice.webhooks.signing import Scheme, signed_headers
from tenants.console.inbox_door import MOST_BODY_BYTES
from tenants.context import tenant_tx
from tenants.inbox import KEPT_SECONDS, MOST_BODY_CHARACTERS, MOST_CALLBACKS, inbox_url, inbox_word, list_callbacks
from tenants.root_keys import root_keyring
from tenants.signing_secrets import signing_secrets
from tests.api.keys import problem
from tests.console.visiting import make_person, text_of
from tests.factories import Tenant
from tests.roles import as_role
from tests.webhooks.test_endpoints import make_endpoint

pytestmark = pytest.mark.django_db
BODY = json.dumps({"type": "job.completed", "data": {"result": "canary-1f2e"}}).encode()


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(settings, "ENVIRONMENT", replace(settings.ENVIRONMENT, dev_inbox=True, data_dir=tmp_path))
    return tmp_path / "inbox"


def path_of(tenant: Tenant) -> str:
    return "/" + inbox_url(tenant.id).partition("://")[2].partition("/")[2]


def secret_of(tenant: Tenant) -> str:
    with tenant_tx(tenant.id):
        return signing_secrets(tenant.id)[0]


def signed(secret: str, body: bytes = BODY, *, age: int = 0, scheme: Scheme = "v1") -> dict[str, str]:
    at = int(time.time()) - age
    return signed_headers([secret], message_id="evt_1", timestamp=at, body=body, scheme=scheme)


def send(path: str, body: bytes = BODY, headers: Mapping[str, str] | None = None, *, mark: str | None = None) -> Any:
    """A POST as the egress worker sends it."""
    sent = {"Job-Via": root_keyring().mark() if mark is None else mark, **(headers or {})}
    with as_role("web"):
        return Client().post(path, body, content_type="application/json", headers=sent)


def received(tenant: Tenant) -> list[tuple[str, bool]]:
    with as_role("web"):
        return [(one.event, one.is_verified) for _, one in list_callbacks(tenant.id)]


def test_a_signed_callback_is_shown_as_verified_with_its_id_and_body(tenant: Tenant) -> None:
    answer = send(path_of(tenant), headers=signed(secret_of(tenant)))
    assert (answer.status_code, answer.content, answer.cookies) == (204, b"", {})
    visitor = make_person(tenant, may_read_payloads=True)
    words = text_of(visitor.get("/console/inbox"))
    for word in ("job.completed", "Verified", "evt_1", "canary-1f2e", inbox_url(tenant.id)):
        assert word in words
    assert "Not verified" not in words


@pytest.mark.parametrize("signing", [{"own": True}, {"scheme": "v1a", "own": True}, {"scheme": "v1a"}])
def test_a_secret_of_an_endpoints_own_and_ed25519_verify_too(tenant: Tenant, signing: dict[str, Any]) -> None:
    endpoint = make_endpoint(tenant, signing=signing)
    name = show_id("end", endpoint.id) if signing.get("own") else "default"
    with tenant_tx(tenant.id):
        secret = signing_secrets(tenant.id, name)[0]
    send(path_of(tenant), headers=signed(secret, scheme=signing.get("scheme", "v1")))
    assert received(tenant) == [("job.completed", True)]


@pytest.mark.parametrize("scheme", ["v1", "v1a"])
def test_what_is_altered_old_or_of_another_tenant_is_shown_as_not_verified(
    tenant: Tenant, other_tenant: Tenant, scheme: Scheme
) -> None:
    secret = secret_of(tenant)
    for headers, body in (
        (signed(secret, scheme=scheme), BODY + b" "),
        (signed(secret, age=301, scheme=scheme), BODY),
        (signed(secret_of(other_tenant), scheme=scheme), BODY),
        ({**signed(secret, scheme=scheme), "webhook-id": "evt_2"}, BODY),
        ({**signed(secret, scheme=scheme), "webhook-timestamp": "soon"}, BODY),
        ({**signed(secret, scheme=scheme), "webhook-signature": f"{scheme},%%% {scheme},"}, BODY),
        ({}, b"\xff\x00[" * 9),
    ):
        assert send(path_of(tenant), body, headers).status_code == 204
    assert {is_verified for _, is_verified in received(tenant)} == {False}
    assert "Not verified" in text_of(make_person(tenant).get("/console/inbox"))


def test_strangers_and_guessed_addresses_are_answered_as_an_unknown_one(tenant: Tenant, other_tenant: Tenant) -> None:
    own, shown = path_of(tenant), show_id(TENANT, tenant.id)
    for path, mark in (
        (own, ""),
        (own, "0" * 32),
        (own, "é" * 32),
        (f"/dev/inbox/{shown}/{'0' * 32}", None),
        (f"/dev/inbox/{shown}/{inbox_word(other_tenant.id)}", None),
        (f"/dev/inbox/{show_id(TENANT, UUID(int=1))}/{inbox_word(UUID(int=1))[:31]}0", None),
    ):
        problem(send(path, mark=mark), 404, "not-found")
    assert Client().get(own).status_code == 404
    assert received(tenant) == received(other_tenant) == []


def test_our_own_mark_opens_no_other_address(tenant: Tenant) -> None:
    for path in ("/v1/jobs", "/dev/inbox", "/console/inbox", f"{path_of(tenant)}/", path_of(tenant)[:-1]):
        problem(send(path, b"{}"), 400, "bad-request")
    with as_role("web"):
        problem(Client().get(path_of(tenant), headers={"Job-Via": root_keyring().mark()}), 400, "bad-request")


def test_without_the_setting_there_is_no_inbox(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    visitor = make_person(tenant)
    assert "/console/inbox" in visitor.get("/console/queues").content.decode()
    monkeypatch.setattr(settings, "ENVIRONMENT", replace(settings.ENVIRONMENT, dev_inbox=False))
    problem(send(f"/dev/inbox/{show_id(TENANT, tenant.id)}/{inbox_word(tenant.id)}", mark=""), 404, "not-found")
    problem(send(f"/dev/inbox/{show_id(TENANT, tenant.id)}/{inbox_word(tenant.id)}"), 400, "bad-request")
    problem(Client().get("/dev/inbox"), 404, "not-found")
    assert visitor.get("/console/inbox").status_code == visitor.get("/console/inbox/rows").status_code == 404
    assert "/console/inbox" not in visitor.get("/console/queues").content.decode()


def test_the_short_address_leads_to_the_page() -> None:
    answer = Client().get("/dev/inbox")
    assert (answer.status_code, answer["Location"]) == (302, "/console/inbox")


def test_bodies_have_a_limit_and_long_ones_are_cut(tenant: Tenant) -> None:
    assert send(path_of(tenant), b"x" * (MOST_BODY_BYTES + 1)).status_code == 413
    with as_role("web"):
        chunked = Client().post(
            path_of(tenant),
            b"{}",
            "application/json",
            HTTP_TRANSFER_ENCODING="chunked",
            HTTP_JOB_VIA=root_keyring().mark(),
        )
    problem(chunked, 400, "bad-request")
    long = json.dumps({"type": "x" * 300, "data": "y" * MOST_BODY_BYTES})[: MOST_BODY_BYTES - 2].encode() + b'"}'
    assert send(path_of(tenant), long, signed(secret_of(tenant), long)).status_code == 204
    with as_role("web"):
        ((_, kept),) = list_callbacks(tenant.id)
    assert (kept.is_verified, kept.is_cut, len(kept.body), len(kept.event)) == (True, True, MOST_BODY_CHARACTERS, 100)


def test_only_the_newest_are_kept_and_only_for_a_day(
    tenant: Tenant, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(MOST_CALLBACKS + 3):
        send(path_of(tenant), json.dumps({"type": f"event-{number}"}).encode())
    assert [event for event, _ in received(tenant)] == [f"event-{n}" for n in range(MOST_CALLBACKS + 2, 2, -1)]
    assert len(list(folder.rglob("*.sealed"))) == MOST_CALLBACKS
    day_before = time.time() - KEPT_SECONDS - 1
    for path in folder.rglob("*.sealed"):
        os.utime(path, (day_before, day_before))
    send(path_of(tenant))
    assert len(list(folder.rglob("*"))) == 2, "the tenant's folder, and the one that is new"
    now = time.time()
    monkeypatch.setattr("tenants.inbox.time.time", lambda: now + KEPT_SECONDS + 1)
    assert received(tenant) == []
    assert list(folder.rglob("*.sealed")) == []


def test_what_is_kept_is_sealed_under_the_tenants_own_key(tenant: Tenant, other_tenant: Tenant, folder: Path) -> None:
    send(path_of(tenant), headers=signed(secret_of(tenant)))
    (kept,) = folder.rglob("*.sealed")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    for word in (b"canary", b"evt_1", b"job.completed"):
        assert word not in kept.read_bytes()
    # Under another tenant's name it opens as little as it is seen.
    stolen = folder / other_tenant.id.hex
    stolen.mkdir()
    (stolen / kept.name).write_bytes(kept.read_bytes())
    assert received(other_tenant) == []
    assert received(tenant) == [("job.completed", True)]


def test_who_may_not_see_payloads_sees_no_body_and_a_viewer_no_inbox(tenant: Tenant) -> None:
    send(path_of(tenant), headers=signed(secret_of(tenant)))
    page = make_person(tenant, "admin").get("/console/inbox")
    assert page.status_code == 200
    assert "canary" not in page.content.decode()
    for role in ("viewer", "operator"):
        visitor = make_person(tenant, role, may_read_payloads=True)
        assert visitor.get("/console/inbox").status_code == visitor.get("/console/inbox/rows").status_code == 403


def test_what_a_body_says_is_shown_and_never_run(tenant: Tenant) -> None:
    hostile = json.dumps({"type": "<script>x</script>", "data": "<img src=x onerror=y>"}).encode()
    send(path_of(tenant), hostile, {**signed(secret_of(tenant)), "webhook-id": "\"'><svg onload=z>"})
    page = make_person(tenant, may_read_payloads=True).get("/console/inbox").content.decode()
    for tag in ("<script>x", "<img src=x", "<svg onload"):
        assert tag not in page


def test_the_rows_are_asked_for_again_and_sent_when_something_came(tenant: Tenant) -> None:
    visitor = make_person(tenant, may_read_payloads=True)
    first = visitor.get("/console/inbox/rows")
    assert "Nothing has come yet" in text_of(first)
    assert visitor.get("/console/inbox/rows", If_None_Match=first["ETag"]).status_code == 304
    send(path_of(tenant))
    second = visitor.get("/console/inbox/rows", If_None_Match=first["ETag"])
    assert (second.status_code, "job.completed" in text_of(second)) == (200, True)
