"""`manage.py erase_tenant`: the keys first, then every row, and nothing of it runs, is sent or opens again."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError, connection, transaction
from psycopg import sql

from jobservice.errors import Conflict, SealingError
from jobservice.ids import TENANT, new_id, show_id
from jobservice.jobs import erasure
from jobservice.jobs.accept import accept_job
from jobservice.jobs.claims import claim_jobs
from jobservice.jobs.job_types import put_job_type
from jobservice.jobs.leases import release_jobs, renew_leases
from jobservice.jobs.models import IdempotencyKey, JobType, Lane, LiveJob, Queue
from jobservice.jobs.rescue import reap_leases
from jobservice.statements import run_statement
from jobservice.webhooks.deliveries import start_deliveries
from jobservice.webhooks.delivery_claims import claim_deliveries
from jobservice.webhooks.endpoint_spec import parse_endpoint
from jobservice.webhooks.endpoints import create_endpoint
from tenants import key_changes
from tenants.api_keys import authenticate, create_api_key
from tenants.blobs import open_blob, seal_blob
from tenants.context import tenant_tx
from tenants.members import invite_member
from tenants.models import Tenant
from tenants.tenancy import set_status
from tests.factories import Tenant as MadeTenant
from tests.factories import make_job, make_submission, make_tenant
from tests.jobs.dispatching import WORKER, claim, outcome_of, record, start
from tests.jobs.folding import fold
from tests.jobs.limiting import limit_queue
from tests.roles import as_role
from tests.tenants.commands import refused, run

pytestmark = pytest.mark.django_db


def tables_of_tenants() -> list[str]:
    return [table.name for table in run_statement(erasure._SQL / "owned_tables.sql", {})]


def rows_of(tenant_id: UUID) -> dict[str, int]:
    """How many rows the tenant has in each table, the empty ones left out."""
    counts = {}
    with connection.cursor() as cursor:
        for table in tables_of_tenants():
            cursor.execute(
                sql.SQL("SELECT count(*) FROM {} WHERE tenant_id = %s").format(sql.Identifier(table)), [tenant_id]
            )
            counts[table] = cursor.fetchone()[0]
    return {table: count for table, count in counts.items() if count}


def fill(tenant: MadeTenant) -> None:
    """A row in every table that a tenant can have one in."""
    for kind in ("completed", "failed", "failed"):
        # Of the first two the counts are folded, of the last they are not yet.
        fold()
        make_job(tenant, tags={"customer": "7"}, metadata={"m": 1}, callback_url="http://127.0.0.1:9/", max_attempts=1)
        (started,) = start(claim())
        record(outcome_of(started, kind))
    make_job(tenant, tags={"customer": "8"})
    limit_queue(tenant, rate={"limit": 100, "period_seconds": 1, "burst": 100})
    claim()
    receiver = {"url": "http://127.0.0.1:9/", "signing": {"own": True}}
    put_job_type(tenant.id, "text.count", {"executor": "http", "http": receiver})
    create_endpoint(tenant.id, parse_endpoint(receiver))
    run("create_member", tenant.name, "ada@example.com", "--role", "owner")
    IdempotencyKey.objects.create(
        tenant_id=tenant.id, hash=bytes(32), fingerprint=bytes(32), status=201, answer_sealed=b"sealed"
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO request_bucket (tenant_id, lent_until, lent_from, lent, left_over) "
            "VALUES (%s, now(), now(), 0, 0)",
            [tenant.id],
        )
        cursor.execute(
            "INSERT INTO bulk_action (id, tenant_id, action, filter, max_jobs, matched) "
            "VALUES (gen_random_uuid(), %s, 'cancel', '{}', 1, 0)",
            [tenant.id],
        )
        cursor.execute("INSERT INTO endpoint_throttle VALUES (%s, 'text.count', 1, now(), 1, now())", [tenant.id])
        cursor.execute(
            "INSERT INTO unique_claim (tenant_id, hash, job_id, held_while) "
            "SELECT tenant_id, sha256('u'), job_id, 'unfinished' FROM job_live"
        )
        for table in ("delivery_turn", "delivery_health"):
            cursor.execute(f"INSERT INTO {table} (target_id, tenant_id) VALUES (%s, %s)", [tenant.id, tenant.id])
        cursor.execute(
            "INSERT INTO quota_warning (tenant_id, name, day) VALUES (%s, 'open_jobs', current_date)", [tenant.id]
        )
        cursor.execute(
            "INSERT INTO delivery_attempt (id, tenant_id, delivery_id, event_id, job_id, number, duration_ms) "
            "SELECT gen_random_uuid(), tenant_id, id, event_id, job_id, 1, 5 FROM delivery WHERE tenant_id = %s",
            [tenant.id],
        )


def erase(tenant: MadeTenant, *arguments: str) -> dict[str, Any]:
    done: dict[str, Any] = json.loads(run("erase_tenant", tenant.name, "--yes", "--json", *arguments))
    return done


def test_nothing_of_the_tenant_is_left_but_a_tombstone_and_the_neighbour_keeps_everything(
    tenant: MadeTenant, other_tenant: MadeTenant
) -> None:
    fill(tenant)
    had = rows_of(tenant.id)
    assert set(had) == set(tables_of_tenants()), "the test must have something to lose in every table"
    make_job(other_tenant)
    neighbours = rows_of(other_tenant.id)
    shown = show_id(TENANT, tenant.id)
    assert erase(tenant) == {"tenant": shown, "name": f"erased-{shown}", "removed": had}
    assert rows_of(tenant.id) == {}
    assert rows_of(other_tenant.id) == neighbours
    row = Tenant.objects.get(id=tenant.id)
    assert (row.name, row.status, row.erased_at is not None) == (f"erased-{shown}", "erased", True)


def test_the_name_is_free_again(tenant: MadeTenant) -> None:
    erase(tenant)
    again = make_tenant(tenant.name)
    assert again.id != tenant.id
    assert authenticate(again.api_key) is not None


def test_no_key_of_it_enters_and_no_sealed_value_of_it_opens(tenant: MadeTenant) -> None:
    blob = seal_blob(tenant.id, kind="payload", plaintext=b"1")
    assert open_blob(tenant.id, kind="payload", blob_id=blob.id, sealed=blob.sealed) == b"1"
    erase(tenant)
    assert authenticate(tenant.api_key) is None
    with pytest.raises(SealingError, match="no keys"):
        open_blob(tenant.id, kind="payload", blob_id=blob.id, sealed=blob.sealed)
    with pytest.raises(SealingError, match="no keys"):
        seal_blob(tenant.id, kind="payload", plaintext=b"2")


def test_nothing_of_it_is_dispatched_any_more(tenant: MadeTenant) -> None:
    fill(tenant)
    erase(tenant)
    with as_role("dispatcher"):
        assert claim_jobs("handlers", limit=10, lease_seconds=30) == []
        assert claim_deliveries(10, lease_seconds=30) == []
        reaped = reap_leases()
    assert (reaped.returned, reaped.crashed) == (0, 0)


def test_a_worker_in_the_middle_of_its_jobs_finds_and_changes_nothing(
    tenant: MadeTenant, other_tenant: MadeTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The neighbour's key is at hand: inside this test's own transaction a worker could not load it again.
    monkeypatch.setattr(key_changes, "CHECK_SECONDS", 3600.0)
    for owner in (tenant, other_tenant):
        for _ in range(2):
            make_job(owner, callback_url="http://127.0.0.1:9/")
    refs = claim()
    mine = [ref for ref in refs if ref.tenant_id == tenant.id]
    running = start(refs[:3]) + start(refs[3:])
    kept = [job for job in running if job.tenant_id == other_tenant.id]
    outcomes = [outcome_of(job) for job in running]
    erase(tenant)
    with as_role("worker"):
        assert renew_leases(mine, worker_id=WORKER, lease_seconds=30).kept == frozenset()
        assert release_jobs(mine, worker_id=WORKER) == 0
    report = record(*outcomes)
    assert report.recorded == len(kept) == 2, "the neighbour's outcomes in the same group are written"
    assert rows_of(tenant.id) == {}


def test_a_message_that_is_still_under_way_starts_nothing(tenant: MadeTenant) -> None:
    make_job(tenant, callback_url="http://127.0.0.1:9/")
    (started,) = start(claim())
    record(outcome_of(started))
    make_job(tenant)
    jobs = claim()
    with as_role("dispatcher"):
        deliveries = claim_deliveries(10, lease_seconds=30)
    assert len(jobs) == len(deliveries) == 1
    erase(tenant)
    assert start(jobs) == []
    with as_role("worker"):
        assert start_deliveries(deliveries, worker_id=WORKER, lease_seconds=30) == []


@pytest.mark.parametrize(
    "add",
    [
        lambda tenant_id: create_api_key(tenant_id, name="late", scopes=["jobs:read"]),
        lambda tenant_id: invite_member(tenant_id, email="ada@example.com", role="owner"),
        lambda tenant_id: Queue.objects.create(id=new_id(), tenant_id=tenant_id, name="q"),
        lambda tenant_id: Lane.objects.create(tenant_id=tenant_id, queue="q", pool="handlers"),
        lambda tenant_id: JobType.objects.create(
            id=new_id(), tenant_id=tenant_id, name="t", executor="handler", handler="echo"
        ),
    ],
    ids=["api_key", "member", "queue", "lane", "job_type"],
)
def test_no_row_can_be_added_to_what_is_erased(tenant: MadeTenant, add: Callable[[UUID], Any]) -> None:
    erase(tenant)
    with pytest.raises((IntegrityError, Conflict), match="erased"), transaction.atomic():
        add(tenant.id)
    assert rows_of(tenant.id) == {}


def test_an_erased_tenant_cannot_be_brought_back(tenant: MadeTenant) -> None:
    erase(tenant)
    set_status(tenant.id, "active")
    assert Tenant.objects.get(id=tenant.id).status == "erased"
    with pytest.raises(IntegrityError, match="erased for good"), transaction.atomic():
        Tenant.objects.filter(id=tenant.id).update(status="active", erased_at=None)


@pytest.mark.parametrize(
    "command",
    [
        ("suspend_tenant",),
        ("resume_tenant",),
        ("set_quota", "running=1"),
        ("create_api_key", "--scopes", "jobs:read"),
        ("create_member", "ada@example.com", "--role", "owner"),
        ("rotate_tenant_key",),
    ],
    ids=lambda command: command[0],
)
def test_the_other_commands_do_not_know_it_any_more(tenant: MadeTenant, command: tuple[str, ...]) -> None:
    shown = show_id(TENANT, tenant.id)
    erase(tenant)
    name, *rest = command
    for reference in (shown, f"erased-{shown}"):
        assert "There is no tenant" in refused(name, reference, *rest)


def dying_at_call(number: int, function: Callable[..., int]) -> Callable[..., int]:
    """The function, cut short as by Ctrl-C at its n-th call."""
    calls = iter(range(1, number + 1))

    def call(*arguments: Any) -> int:
        if next(calls) == number:
            raise KeyboardInterrupt
        return function(*arguments)

    return call


def test_the_keys_are_gone_before_the_first_row_is_swept(tenant: MadeTenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasure, "_sweep_batch", dying_at_call(1, erasure._sweep_batch))
    with pytest.raises(KeyboardInterrupt):
        run("erase_tenant", tenant.name, "--yes")
    assert authenticate(tenant.api_key) is None
    assert not {"data_key", "api_key", "signing_secret"} & set(rows_of(tenant.id))


def test_a_process_that_was_not_told_opens_nothing_a_second_later(
    tenant: MadeTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = seal_blob(tenant.id, kind="payload", plaintext=b"1")
    monkeypatch.setattr(erasure, "forget_opened_keys", lambda _tenant_id: None)
    # However busy the machine is: the second is not over.
    monkeypatch.setattr(key_changes, "CHECK_SECONDS", 3600.0)
    erase(tenant)
    assert open_blob(tenant.id, kind="payload", blob_id=blob.id, sealed=blob.sealed) == b"1", "within the second"
    monkeypatch.setattr(key_changes, "CHECK_SECONDS", 0.0)
    with pytest.raises(SealingError, match="no keys"):
        open_blob(tenant.id, kind="payload", blob_id=blob.id, sealed=blob.sealed)


def test_a_sweep_that_was_cut_short_goes_on(tenant: MadeTenant, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tenant)
    shredded = {"data_key", "api_key", "member", "signing_secret", "job_live", "lane", "unique_claim", "delivery_live"}
    monkeypatch.setattr(erasure, "BATCH_ROWS", 1)
    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(erasure, "_sweep_batch", dying_at_call(3, erasure._sweep_batch))
            with pytest.raises(KeyboardInterrupt):
                run("erase_tenant", show_id(TENANT, tenant.id), "--yes")
        assert rows_of(tenant.id) != {}
        assert not shredded & set(rows_of(tenant.id))
    run("erase_tenant", show_id(TENANT, tenant.id), "--json")
    assert rows_of(tenant.id) == {}


def test_a_transaction_that_will_not_end_is_told_and_the_rest_is_erased(
    tenant: MadeTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure, "wait_for_running_writes", lambda **_: False)
    assert "run it again" in refused("erase_tenant", tenant.name, "--yes", exit_code=1)
    assert rows_of(tenant.id) == {}


def test_what_an_ending_job_added_late_is_swept_too(tenant: MadeTenant, monkeypatch: pytest.MonkeyPatch) -> None:
    blob = seal_blob(tenant.id, kind="payload", plaintext=b"1")

    def commit_late(**_: Any) -> bool:
        with tenant_tx(tenant.id), connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO blob (id, tenant_id, kind, sealed) VALUES (%s, %s, 'payload', %s)",
                [blob.id, tenant.id, blob.sealed],
            )
        return True

    monkeypatch.setattr(erasure, "wait_for_running_writes", commit_late)
    assert erase(tenant)["removed"]["blob"] == 1
    assert rows_of(tenant.id) == {}


@pytest.mark.parametrize("typed", ["", "somebody\n", "yes\n"])
def test_another_name_typed_erases_nothing(tenant: MadeTenant, typed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    assert "nothing was erased" in refused("erase_tenant", tenant.name)
    assert Tenant.objects.get(id=tenant.id).status == "active"
    assert authenticate(tenant.api_key) is not None


def test_the_name_typed_again_erases_and_the_report_is_honest_about_backups(
    tenant: MadeTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_job(tenant)
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{tenant.name}\n"))
    text = run("erase_tenant", tenant.name)
    assert "2 data_key" in text
    assert "1 job_live" in text
    assert "backup of the database from before can still be opened" in text


def test_an_accept_that_comes_too_late_is_refused_and_leaves_nothing(
    tenant: MadeTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its keys still opened, as in another process within the second."""
    make_job(tenant)
    monkeypatch.setattr(erasure, "forget_opened_keys", lambda _tenant_id: None)
    # However busy the machine is: the second is not over.
    monkeypatch.setattr(key_changes, "CHECK_SECONDS", 3600.0)
    erase(tenant)
    with pytest.raises(Conflict, match="was erased"), transaction.atomic():
        accept_job(tenant.id, make_submission())
    assert rows_of(tenant.id) == {}
    assert not LiveJob.objects.exists()
