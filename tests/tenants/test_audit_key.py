"""The audit key: made once, opened once, before any head is locked, and wrapped anew with the root key."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.db.utils import ProgrammingError

from jobservice.crypto.root_key import wrapped_under
from jobservice.env import ConfigurationError
from jobservice.errors import KeyProviderAway, SealingError, Unreadable
from tenants import audit, root_key_rotation
from tenants.audit import note_act
from tenants.audit_chain import Place, head_message
from tenants.audit_checks import verify_chain
from tenants.audit_key import AUDIT_KEY, audit_key
from tenants.boot import check_boot
from tenants.context import tenant_tx
from tenants.models import AuditEvent, AuditHead, DataKey, Installation
from tests.crypto.vault_server import VaultServer
from tests.crypto.vault_use import restart, vault_installation
from tests.factories import Tenant, make_tenant
from tests.roles import as_role
from tests.tenants.commands import refused, run
from tests.workers.doctor.reading import find

pytestmark = pytest.mark.django_db


@pytest.fixture
def vault(db: None) -> Iterator[VaultServer]:
    with vault_installation() as server:
        yield server


def stored() -> bytes | None:
    wrapped = Installation.objects.get().audit_key
    return None if wrapped is None else bytes(wrapped)


def act(tenant: Tenant, queue: str = "mail") -> None:
    with tenant_tx(tenant.id):
        note_act(tenant.id, "queue.updated", queue)


def test_a_head_is_an_hmac_under_the_key(tenant: Tenant) -> None:
    act(tenant)
    head = AuditHead.objects.get(tenant_id=tenant.id)
    message = head_message(tenant.id, Place(head.seq, bytes(head.hash)))
    assert bytes(head.signature or b"") == hmac.digest(audit_key(), message, "sha256")


def test_an_operators_command_makes_the_key_that_is_missing_and_no_second_one(db: None) -> None:
    Installation.objects.update(audit_key=None)
    AUDIT_KEY.forget()
    with pytest.raises(ConfigurationError, match="no audit key yet; run"):
        make_tenant()
    assert find("audit-log").detail == "The audit key cannot be used."
    run("create_keys")
    made = stored()
    assert made
    run("create_keys")
    run("set_weight", make_tenant().name, "3")
    assert stored() == made


def test_a_key_that_was_lost_is_not_replaced(tenant: Tenant) -> None:
    act(tenant)
    Installation.objects.update(audit_key=None)
    AUDIT_KEY.forget()
    for command in (("set_weight", tenant.name, "3"), ("create_keys",)):
        with pytest.raises(ConfigurationError, match="was removed from the database"):
            run(*command)
    assert stored() is None


def test_who_comes_second_to_make_the_key_uses_the_first_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    Installation.objects.update(audit_key=None)
    AUDIT_KEY.forget()
    wrap = AUDIT_KEY._wrap

    def be_overtaken(secret: bytes, root_version: int) -> bytes:
        Installation.objects.update(audit_key=wrap(b"f" * 32, root_version))
        return wrap(secret, root_version)

    monkeypatch.setattr(AUDIT_KEY, "_wrap", be_overtaken)
    AUDIT_KEY.ensure()
    assert audit_key() == b"f" * 32


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happens from now on, in order: the key is opened, a head is locked."""
    order: list[str] = []
    _tell(monkeypatch, order, "tenants.audit_key.AUDIT_KEY.unwrap", AUDIT_KEY.unwrap, "opened")
    _tell(monkeypatch, order, "tenants.audit._lock_head", audit._lock_head, "locked")
    AUDIT_KEY.forget()
    return order


def _tell(monkeypatch: pytest.MonkeyPatch, order: list[str], name: str, call: Any, word: str) -> None:
    def tell(*arguments: Any, **named: Any) -> Any:
        order.append(word)
        return call(*arguments, **named)

    monkeypatch.setattr(name, tell)


def test_a_web_process_opens_the_key_at_its_start_and_no_act_does(
    tenant: Tenant, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "ENVIRONMENT", replace(settings.ENVIRONMENT, process="web"))
    with as_role("web"):
        check_boot()
        assert told == ["opened"]
        act(tenant)
        act(tenant)
    assert told == ["opened", "locked", "locked"]


def test_the_key_is_at_hand_before_the_head_is_locked(tenant: Tenant, told: list[str]) -> None:
    act(tenant)
    assert told == ["opened", "locked"]


def test_a_rotation_of_the_root_key_wraps_it_anew_and_no_signature_changes(tenant: Tenant, root_key_file: Path) -> None:
    act(tenant)
    key, before = audit_key(), stored()
    run("rotate_root_key")
    wrapped = stored()
    assert wrapped is not None
    assert wrapped != before
    assert wrapped_under(wrapped) == 2
    AUDIT_KEY.forget()
    assert audit_key() == key
    act(tenant)
    assert verify_chain(tenant.id).broken is None
    event = AuditEvent.objects.filter(tenant_id=tenant.id, action="tenant.key-rewrapped").get()
    assert (event.command, event.after) == ("rotate_root_key", '{"root_key_version":2}')


def test_one_that_does_not_open_is_counted_by_a_rotation_and_named_by_doctor(
    tenant: Tenant, root_key_file: Path
) -> None:
    wrapped = stored()
    assert wrapped is not None
    Installation.objects.update(audit_key=wrapped[:-1] + bytes([wrapped[-1] ^ 1]))
    assert root_key_rotation.rotate_root_key(progress=lambda _: None).remaining == 1
    assert find("audit-log").detail == "The audit key does not open: no act can be written down."
    AUDIT_KEY.forget()
    assert "altered" in refused("verify_audit")
    with pytest.raises(SealingError):
        act(tenant)


def test_no_tenants_key_can_be_put_in_its_place(tenant: Tenant) -> None:
    row = DataKey.objects.filter(tenant_id=tenant.id, purpose="data").get()
    Installation.objects.update(audit_key=bytes(row.wrapped))
    AUDIT_KEY.forget()
    with pytest.raises(Unreadable):
        audit_key()


@pytest.mark.parametrize(("runtime_role", "may_read"), [("web", True), ("worker", False), ("dispatcher", False)])
def test_only_the_web_reads_the_key_and_nobody_writes_it(role: Any, runtime_role: str, may_read: bool) -> None:
    with role(runtime_role), connection.cursor() as cursor:
        for statement in ["SELECT audit_key FROM installation", "UPDATE installation SET audit_key = NULL"]:
            if may_read and statement.startswith("SELECT"):
                cursor.execute(statement)
                continue
            with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
                cursor.execute(statement)


def test_in_vault_the_log_is_signed_and_an_outage_stops_only_who_has_not_opened_the_key(
    vault: VaultServer, api: Any
) -> None:
    tenant = make_tenant()
    opened = vault.count("decrypt")
    body = {"name": "k", "scopes": ["jobs:read"]}
    assert api.post("/v1/api-keys", body, key=tenant.api_key).status_code == 201
    assert vault.count("decrypt") == opened
    vault.stop()
    assert api.post("/v1/api-keys", body, key=tenant.api_key).status_code == 201
    AUDIT_KEY.forget()
    # What Vault confirmed lately still serves; in a new process nothing does.
    assert api.post("/v1/api-keys", body, key=tenant.api_key).status_code == 201
    restart()
    with pytest.raises(KeyProviderAway):
        audit_key()
    vault.start()
    assert verify_chain(tenant.id).broken is None
    assert AuditEvent.objects.filter(tenant_id=tenant.id, action="api-key.created").count() == 4
