"""The audit log's chain: what is written, what cannot be changed, and what `verify_audit` finds when it was."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.utils import ProgrammingError

from jobservice.errors import SealingError
from jobservice.ids import API_KEY, TENANT, new_id, show_id
from tenants.acting import Actor, acting_as, part_of_an_act
from tenants.audit import describe_change, note_act
from tenants.audit_catalogue import ACTIONS, FIELDS, object_type
from tenants.audit_chain import canonical_row, next_hash
from tenants.audit_checks import verify_chain
from tenants.context import tenant_tx
from tenants.models import AuditEvent, AuditHead
from tests.factories import Tenant
from tests.tenants.commands import refused, run

pytestmark = pytest.mark.django_db
FORGED = "UPDATE audit_head SET signature = sha256('x')"


def events_of(tenant: Tenant) -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(tenant_id=tenant.id).order_by("seq"))


def act(tenant: Tenant, *queues: str) -> None:
    for queue in queues:
        with tenant_tx(tenant.id):
            note_act(tenant.id, "queue.updated", queue, before={"paused": False}, after={"paused": True})


def tamper(*statements: str) -> None:
    """As a superuser who lifts the guard, and puts it back."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in ("audit_event", "audit_head"):
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for statement in statements:
            cursor.execute(statement)
            assert cursor.rowcount != 0, statement
        for table in ("audit_event", "audit_head"):
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def broken_at(tenant: Tenant) -> tuple[int, str]:
    broken = verify_chain(tenant.id).broken
    assert broken is not None
    said = refused("verify_audit", exit_code=1)
    assert said == "One chain is broken."
    return broken.seq, broken.reason


def test_a_new_tenant_has_a_chain_that_begins_with_itself_and_its_first_key(tenant: Tenant) -> None:
    assert [event.action for event in events_of(tenant)] == ["tenant.created", "api-key.created"]
    assert verify_chain(tenant.id).broken is None


def test_what_the_operator_does_names_the_login_and_the_command(tenant: Tenant) -> None:
    run("set_quota", tenant.name, "running=5")
    event = events_of(tenant)[-1]
    assert (event.actor_type, event.actor_id, event.command) == (
        "operator",
        pwd.getpwuid(os.getuid()).pw_name,
        "set_quota",
    )
    assert (event.action, event.object_id) == ("tenant.quotas-updated", show_id(TENANT, tenant.id))
    assert (event.before, event.after) == ('{"quotas":{}}', '{"quotas":{"running":5}}')


@pytest.mark.parametrize(
    ("command", "action"),
    [
        ("suspend_tenant {}", "tenant.suspended"),
        ("resume_tenant {}", "tenant.resumed"),
        ("set_weight {} 3", "tenant.updated"),
        ("create_member {} ada@example.com --role viewer", "member.invited"),
        ("create_api_key {} --scopes jobs:read", "api-key.created"),
        ("recount_usage {}", "tenant.usage-recounted"),
        ("set_quota {} running=5", "tenant.quotas-updated"),
        ("erase_tenant {} --yes", "tenant.erased"),
    ],
)
def test_each_command_that_changes_a_tenant_is_written_down(tenant: Tenant, command: str, action: str) -> None:
    run(*command.format(tenant.name).split())
    event = events_of(tenant)[-1]
    assert (event.action, event.command) == (action, command.split()[0])
    assert verify_chain(tenant.id).broken is None


def test_a_plan_that_changes_is_written_down_for_each_tenant_on_it(tenant: Tenant, other_tenant: Tenant) -> None:
    run("set_plan", "pro", "running=5")
    run("set_quota", tenant.name, "--plan", "pro")
    before = len(events_of(other_tenant))
    run("set_plan", "pro", "running=9")
    event = events_of(tenant)[-1]
    assert (event.command, event.before, event.after) == (
        "set_plan",
        '{"quotas":{"running":5}}',
        '{"quotas":{"running":9}}',
    )
    assert len(events_of(other_tenant)) == before


def test_without_anybody_behind_it_the_service_itself_acts(tenant: Tenant) -> None:
    act(tenant, "mail")
    assert (events_of(tenant)[-1].actor_type, events_of(tenant)[-1].actor_id) == ("service", "owner")


def test_what_is_part_of_an_act_is_not_written_down_again(tenant: Tenant) -> None:
    count = len(events_of(tenant))
    with part_of_an_act():
        act(tenant, "mail")
    assert len(events_of(tenant)) == count


def test_an_act_that_is_rolled_back_leaves_no_event_and_no_gap(tenant: Tenant) -> None:
    count = len(events_of(tenant))
    with transaction.atomic():
        act(tenant, "lost")
        transaction.set_rollback(True)
    act(tenant, "kept")
    assert [(event.seq, event.object_id) for event in events_of(tenant)[count:]] == [(count + 1, "kept")]
    assert verify_chain(tenant.id).broken is None


def test_only_what_the_catalogue_names_is_written_and_of_what_is_secret_only_that_it_changed() -> None:
    before = {
        "url": "https://a.example/CANARY",
        "headers": {},
        "status": "enabled",
        "secret": "CANARY",
        "events": ["*"],
    }
    after = {**before, "url": "https://b.example/CANARY", "status": "paused"}
    assert describe_change("endpoint", before, after) == ('{"status":"enabled"}', '{"status":"paused","url":"changed"}')
    made = describe_change("endpoint", None, after)
    assert made == (None, '{"events":["*"],"status":"paused","url":"changed"}')
    assert "CANARY" not in str(describe_change("endpoint", before, None))


def test_every_act_is_of_a_kind_whose_fields_are_named() -> None:
    assert {object_type(action) for action in ACTIONS} == set(FIELDS)
    with pytest.raises(KeyError):
        object_type("queue.exploded")


def test_numbers_texts_and_times_come_back_as_they_were_hashed(tenant: Tenant) -> None:
    odd = {"limit": 1e22, "factor": 2.0, "small": 1e-7, "text": 'ä "\\\u2028 \x00 😀', "big": 2**70, "none": None}
    actor = Actor("api-key", show_id(API_KEY, new_id()), address="2001:db8::1", request_id="a-b")
    with acting_as(actor), tenant_tx(tenant.id):
        note_act(tenant.id, "queue.created", "mail", after={"rate": odd})
    assert verify_chain(tenant.id).broken is None
    assert json.loads(str(events_of(tenant)[-1].after)) == {"rate": odd}


@pytest.mark.parametrize(
    ("statements", "seq", "reason"),
    [
        (["UPDATE audit_event SET actor_id = 'somebody' WHERE seq = 4"], 4, "is not what was written"),
        (["UPDATE audit_event SET after = '{}' WHERE seq = 3"], 3, "is not what was written"),
        (["UPDATE audit_event SET at = at - interval '1 microsecond' WHERE seq = 3"], 3, "is not what was written"),
        (["DELETE FROM audit_event WHERE seq = 3"], 3, "it is missing"),
        (["DELETE FROM audit_event WHERE seq = 1"], 1, "it is missing"),
        (
            [
                "UPDATE audit_event SET seq = 99 WHERE seq = 3",
                "UPDATE audit_event SET seq = 3 WHERE seq = 4",
                "UPDATE audit_event SET seq = 4 WHERE seq = 99",
            ],
            3,
            "is not what was written",
        ),
        (["DELETE FROM audit_event WHERE seq >= 5"], 5, "the end was cut off"),
        (["DELETE FROM audit_event"], 1, "the end was cut off"),
        (
            [
                "DELETE FROM audit_event WHERE seq >= 5",
                "UPDATE audit_head SET seq = 4, hash = (SELECT hash FROM audit_event WHERE seq = 4)",
            ],
            4,
            "not signed by this installation",
        ),
        ([FORGED], 6, "not signed by this installation"),
        (["UPDATE audit_head SET seq = 5"], 5, "another hash"),
    ],
)
def test_whoever_lifts_the_guard_and_tampers_is_found(
    tenant: Tenant, statements: list[str], seq: int, reason: str
) -> None:
    act(tenant, "a", "b", "c", "d")
    assert "6 events, the chain holds" in run("verify_audit")
    tamper(*statements)
    found, why = broken_at(tenant)
    assert (found, reason in why) == (seq, True), why


def test_an_event_is_found_that_was_written_anew_with_all_that_follow(tenant: Tenant) -> None:
    """Somebody who knows how hashes are made, and cannot open the audit key."""
    act(tenant, "a")
    event = events_of(tenant)[-1]
    event.object_id = "z"
    forged = next_hash(bytes(events_of(tenant)[-2].hash), canonical_row(event)).hex()
    tamper(
        f"UPDATE audit_event SET object_id = 'z', hash = '\\x{forged}' WHERE seq = 3",
        f"UPDATE audit_head SET hash = '\\x{forged}'",
    )
    assert broken_at(tenant) == (3, "the head is not signed by this installation")
    act(tenant, "b")
    assert broken_at(tenant) == (4, "the head is not signed by this installation")


def test_an_earlier_head_put_back_is_found_by_an_event_that_was_noted(tenant: Tenant) -> None:
    """The one cut that the database itself cannot tell: its head was signed once."""
    head = AuditHead.objects.get(tenant_id=tenant.id)
    act(tenant, "a", "b")
    noted = run("verify_audit", tenant.name).split()[-1].rstrip(".")
    tamper(
        "DELETE FROM audit_event WHERE seq > 2",
        f"UPDATE audit_head SET seq = 2, hash = '\\x{bytes(head.hash).hex()}', "
        f"signature = '\\x{bytes(head.signature or b'').hex()}'",
    )
    assert verify_chain(tenant.id).broken is None
    refused("verify_audit", tenant.name, "--known", noted, exit_code=1)
    run("verify_audit", tenant.name, "--known", f"2:{bytes(head.hash).hex()}")
    assert "SEQ:HASH" in refused("verify_audit", tenant.name, "--known", "2")


def test_a_chain_without_a_head_is_broken_and_takes_no_further_act(tenant: Tenant) -> None:
    tamper("DELETE FROM audit_event", "DELETE FROM audit_head")
    assert broken_at(tenant) == (0, "the head is missing")
    with pytest.raises(SealingError, match=r"lost its head"):
        act(tenant, "mail")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_event SET action = 'x'",
        "DELETE FROM audit_event",
        "TRUNCATE audit_event",
        "DELETE FROM audit_head",
        "TRUNCATE audit_head, audit_event",
        "UPDATE audit_head SET seq = seq + 2, hash = sha256('')",
        "UPDATE audit_head SET hash = sha256('')",
    ],
)
def test_nobody_changes_the_log_without_lifting_the_guard(tenant: Tenant, statement: str) -> None:
    """The test's own connection is a superuser's, and acts as a replica of another database would."""
    for mode in ("origin", "replica"):
        with connection.cursor() as cursor, transaction.atomic():
            cursor.execute(f"SET LOCAL session_replication_role = {mode}")
            with pytest.raises(ProgrammingError, match=r"never changed"), transaction.atomic():
                cursor.execute(statement)


@pytest.mark.parametrize("runtime_role", ["web", "worker", "dispatcher"])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_event SET action = 'x'",
        "DELETE FROM audit_event",
        "TRUNCATE audit_event",
        "DELETE FROM audit_head",
        "INSERT INTO audit_head (tenant_id) VALUES (gen_random_uuid())",
        "ALTER TABLE audit_event DISABLE TRIGGER USER",
    ],
)
def test_no_runtime_role_may_do_more_than_append(tenant: Tenant, role: Any, runtime_role: str, statement: str) -> None:
    with role(runtime_role), connection.cursor() as cursor:
        cursor.execute(f"SELECT set_config('app.tenant', '{tenant.id}', true)")
        with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"), transaction.atomic():
            cursor.execute(statement)


def test_an_export_can_be_followed_with_a_few_lines_of_code(tenant: Tenant) -> None:
    act(tenant, "a", "ü")
    *lines, last = [json.loads(line) for line in run("export_audit", tenant.name).splitlines()]
    previous = bytes(32)
    for line in lines:
        assert line["previous"] == previous.hex()
        previous = hashlib.sha256(previous + line["row"].encode()).digest()
        assert line["hash"] == previous.hex()
    assert last == {"tenant": show_id(TENANT, tenant.id), "head": {"seq": 4, "hash": previous.hex()}}
    row = json.loads(lines[-1]["row"])
    assert (row["seq"], row["object"], row["after"]) == (4, {"type": "queue", "id": "ü"}, {"paused": True})


def test_an_export_begins_where_it_is_asked_to(tenant: Tenant) -> None:
    act(tenant, "a")
    middle = events_of(tenant)[-1].at.isoformat().replace("+00:00", "Z")
    first, last = [json.loads(line) for line in run("export_audit", tenant.name, "--since", middle).splitlines()]
    assert (first["seq"], first["previous"]) == (3, bytes(events_of(tenant)[1].hash).hex())
    assert last["head"]["seq"] == 3
    (only,) = run("export_audit", tenant.name, "--since", "2999-01-01T00:00:00Z").splitlines()
    assert json.loads(only)["head"]["seq"] == 3
    assert "no time" in refused("export_audit", tenant.name, "--since", "yesterday")


def test_an_erased_tenant_keeps_its_log_which_ends_with_the_erasure(tenant: Tenant) -> None:
    act(tenant, "a")
    run("erase_tenant", tenant.name, "--yes")
    run("erase_tenant", show_id(TENANT, tenant.id), "--yes")
    assert [event.action for event in events_of(tenant)][2:] == ["queue.updated", "tenant.erased"]
    assert "4 events, the chain holds" in run("verify_audit", show_id(TENANT, tenant.id))
    assert tenant.name not in run("export_audit", show_id(TENANT, tenant.id))
