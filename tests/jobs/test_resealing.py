"""`manage.py rotate_tenant_key`: all that a tenant has is sealed anew, and the older key opens nothing any more."""

from __future__ import annotations

import json
import time
from typing import Any
from uuid import UUID

import pytest

from jobservice.crypto.envelope import sealed_under
from jobservice.errors import KeyNotHeld
from jobservice.ids import TENANT, new_id, show_id
from jobservice.jobs import accept as accept_module
from jobservice.jobs import record as record_module
from jobservice.jobs import resealing
from jobservice.jobs.error_group_reads import find_error_group
from jobservice.jobs.http_endpoints import http_endpoint
from jobservice.jobs.job_type_views import find_job_type
from jobservice.jobs.job_types import put_job_type
from jobservice.jobs.models import ErrorGroup, IdempotencyKey, JobType
from jobservice.jobs.reports import Progress, ReportingRun, write_report
from jobservice.jobs.resealing import rotate_tenant_key, split_batches
from jobservice.jobs.sealed_columns import SEALED_COLUMNS, SealedColumn, SealedValue
from jobservice.jobs.selectors import find_job, read_default_secret
from tenants.blobs import insert_blobs, open_blob, seal_blob
from tenants.context import tenant_tx, tenants_tx
from tenants.data_keys import open_column, seal_column, tenant_keys
from tenants.models import Blob, DataKey, SigningSecret, Tenant
from tests.factories import Tenant as MadeTenant
from tests.factories import make_job
from tests.jobs.dispatching import claim, job_uuid, outcome_of, record, start
from tests.roles import as_role, set_role
from tests.tenants.commands import refused, run

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resealing, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(resealing, "READ_SECONDS", 0.0)


def rotate(tenant: MadeTenant, *arguments: str) -> dict[str, Any]:
    done: dict[str, Any] = json.loads(run("rotate_tenant_key", tenant.name, "--json", *arguments))
    return done


def versions(tenant_id: UUID) -> set[int]:
    """The key versions of everything the tenant has sealed."""
    found = set()
    for column in SEALED_COLUMNS:
        found |= {value.version for value in column.read_page(tenant_id, after=column.least_key, limit=1000)}
    return found


def fill(tenant: MadeTenant) -> dict[str, Any]:
    """Something in every sealed column; the job's id is returned with its parts unread."""
    job = make_job(tenant, payload={"n": 1}, metadata={"m": 2}, callback_url="http://127.0.0.1:9/")
    (started,) = start(claim())
    record(outcome_of(started, result=b'{"r":3}'))
    failing = make_job(tenant)
    (started,) = start(claim())
    record(outcome_of(started, "failed", error_code="handler-error", error_message="ValueError: no"))
    spec = {
        "executor": "http",
        "http": {"url": "http://127.0.0.1:9/work", "headers": {"X-Token": "t"}, "signing": {"own": True}},
    }
    own_secret = put_job_type(tenant.id, "text.count", spec)[0].secret
    row_hash = bytes(range(32))
    IdempotencyKey.objects.create(
        tenant_id=tenant.id,
        hash=row_hash,
        fingerprint=bytes(32),
        status=201,
        answer_sealed=seal_column(
            tenant.id,
            table="idempotency_key",
            column="answer_sealed",
            row_id=UUID(bytes=row_hash[:16]),
            plaintext=b"answer",
        ),
    )
    return {
        "job": job,
        "failing": failing,
        "hash": row_hash,
        "secret": read_default_secret(tenant.id)["secret"],
        "own_secret": own_secret,
    }


def assert_all_opens(tenant: MadeTenant, made: dict[str, Any]) -> None:
    found = find_job(tenant.id, job_uuid(made["job"]), include=("payload", "result", "metadata"))
    assert found is not None
    assert found.parts == {"payload": b'{"n":1}', "result": b'{"r":3}', "metadata": b'{"m":2}'}
    failing = find_job(tenant.id, job_uuid(made["failing"]))
    assert failing is not None
    assert failing.job["error"]["message"] == "ValueError: no"
    group = find_error_group(tenant.id, ErrorGroup.objects.get(tenant_id=tenant.id).id)
    assert group is not None
    assert group["message"] == "ValueError: no"
    view = find_job_type(tenant.id, "text.count")
    assert view is not None
    assert view.http is not None
    assert (view.http.url, view.http.headers) == ("http://127.0.0.1:9/work", {"X-Token": "t"})
    assert read_default_secret(tenant.id)["secret"] == made["secret"]
    endpoint = http_endpoint(tenant.id, "text.count")
    assert endpoint is not None
    assert endpoint.secrets == (made["own_secret"],)
    answer = IdempotencyKey.objects.get(tenant_id=tenant.id)
    opened = open_column(
        tenant.id,
        table="idempotency_key",
        column="answer_sealed",
        row_id=UUID(bytes=made["hash"][:16]),
        sealed=bytes(answer.answer_sealed),
    )
    assert opened == b"answer"


def test_everything_is_sealed_anew_and_opens_and_the_neighbour_is_left_alone(
    tenant: MadeTenant, other_tenant: MadeTenant
) -> None:
    made = fill(tenant)
    make_job(other_tenant)
    before = {blob.id: bytes(blob.sealed) for blob in Blob.objects.filter(tenant_id=other_tenant.id)}
    done = rotate(tenant)
    assert {**done, "resealed": 0} == {
        "tenant": show_id(TENANT, tenant.id),
        "key_version": 2,
        "resumed": False,
        "resealed": 0,
        "unreadable": 0,
        "retired": True,
    }
    # Payload, metadata, callback, result; payload, error, the text of its group; two signing secrets, the endpoint, the
    # stored answer.
    assert done["resealed"] == 11
    assert versions(tenant.id) == {2}
    assert_all_opens(tenant, made)
    assert {blob.id: bytes(blob.sealed) for blob in Blob.objects.filter(tenant_id=other_tenant.id)} == before
    assert Tenant.objects.get(id=other_tenant.id).min_open_version == 1


def test_the_retired_version_is_refused_and_stays_in_the_database_for_its_backups(tenant: MadeTenant) -> None:
    stale = seal_blob(tenant.id, kind="payload", plaintext=b"1")
    rotate(tenant)
    assert Tenant.objects.get(id=tenant.id).min_open_version == 2
    with pytest.raises(KeyNotHeld, match="version 1"):
        open_blob(tenant.id, kind="payload", blob_id=stale.id, sealed=stale.sealed)
    assert DataKey.objects.filter(tenant_id=tenant.id, purpose="data").count() == 2


def test_a_second_rotation_goes_one_version_on(tenant: MadeTenant) -> None:
    made = fill(tenant)
    assert [rotate(tenant)["key_version"], rotate(tenant)["key_version"]] == [2, 3]
    assert versions(tenant.id) == {3}
    assert_all_opens(tenant, made)


def test_a_run_that_was_cut_short_goes_on_with_what_is_left(
    tenant: MadeTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        make_job(tenant, payload=number)
    monkeypatch.setattr(resealing, "BATCH_ROWS", 5)
    monkeypatch.setattr(resealing, "PAGE_ROWS", 7)
    replace_values, batches = SealedColumn.replace_values, iter(range(3))

    def die_at_the_third(*arguments: Any) -> int:
        if next(batches) == 2:
            raise KeyboardInterrupt
        return replace_values(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(SealedColumn, "replace_values", die_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            run("rotate_tenant_key", tenant.name)
    done_before = sum(sealed_under(bytes(blob.sealed)) == 2 for blob in Blob.objects.all())
    assert 0 < done_before < 20
    assert Tenant.objects.get(id=tenant.id).min_open_version == 1
    done = rotate(tenant)
    assert (done["key_version"], done["resumed"], done["retired"]) == (2, True, True)
    assert done["resealed"] == 20 - done_before + SigningSecret.objects.filter(tenant_id=tenant.id).count()
    assert versions(tenant.id) == {2}


def test_a_value_that_was_replaced_while_it_was_sealed_anew_is_left_as_it_is(
    tenant: MadeTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = {"executor": "http", "http": {"url": "http://127.0.0.1:9/first"}}
    put_job_type(tenant.id, "text.count", spec)
    replace_values = SealedColumn.replace_values

    def replaced_meanwhile(column: SealedColumn, *arguments: Any) -> int:
        if column.table == "job_type":
            put_job_type(tenant.id, "text.count", {"executor": "http", "http": {"url": "http://127.0.0.1:9/second"}})
        return replace_values(column, *arguments)

    monkeypatch.setattr(SealedColumn, "replace_values", replaced_meanwhile)
    rotate(tenant)
    view = find_job_type(tenant.id, "text.count")
    assert view is not None
    assert view.http is not None
    assert view.http.url == "http://127.0.0.1:9/second"
    assert JobType.objects.get(tenant_id=tenant.id).version == view.version == 2


def test_a_report_that_is_overwritten_while_it_is_sealed_anew_keeps_its_newest_text(
    tenant: MadeTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(tenant)
    (started,) = start(claim())
    run = ReportingRun(tenant.id, started.job_id, started.epoch)
    write_report(run, progress=Progress(1, "first"))
    replace_values, said = SealedColumn.replace_values, iter(["second"])

    def report_meanwhile(column: SealedColumn, *arguments: Any) -> int:
        if column.table == "blob" and (text := next(said, None)):
            write_report(run, progress=Progress(2, text))
        return replace_values(column, *arguments)

    monkeypatch.setattr(SealedColumn, "replace_values", report_meanwhile)
    assert rotate(tenant)["retired"] is True
    assert versions(tenant.id) == {2}
    found = find_job(tenant.id, job_uuid(job))
    assert found is not None
    assert found.job["progress"] == {"percent": 2, "message": "second"}


def test_a_report_sealed_late_under_the_old_key_is_found_by_the_second_visit(
    tenant: MadeTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(tenant)
    (started,) = start(claim())
    run = ReportingRun(tenant.id, started.job_id, started.epoch)
    write_report(run, progress=Progress(1, "first"))
    old_keys = tenant_keys(tenant.id)

    def report_late(**_: Any) -> bool:
        with monkeypatch.context() as patch:
            # A process that has not looked since the rotation began.
            patch.setattr("tenants.blobs.tenant_keys", lambda _: old_keys)
            write_report(run, progress=Progress(2, "late"))
        assert versions(tenant.id) == {1, 2}
        return True

    monkeypatch.setattr(resealing, "wait_for_running_writes", report_late)
    assert rotate(tenant)["retired"] is True
    assert versions(tenant.id) == {2}
    found = find_job(tenant.id, job_uuid(job))
    assert found is not None
    assert found.job["progress"] == {"percent": 2, "message": "late"}


@pytest.mark.parametrize("position", [-1, 6, 40], ids=["ciphertext", "version", "commitment"])
def test_a_damaged_value_keeps_the_old_key_open_and_is_left_as_it_is(tenant: MadeTenant, position: int) -> None:
    make_job(tenant)
    blob = seal_blob(tenant.id, kind="payload", plaintext=b"1")
    damaged = bytearray(blob.sealed)
    damaged[position] ^= 0x55
    with tenant_tx(tenant.id):
        insert_blobs([seal_blob(tenant.id, kind="payload", plaintext=b"whole")])
        Blob.objects.create(id=new_id(), tenant_id=tenant.id, kind="payload", sealed=bytes(damaged))
    assert "open under no version" in refused("rotate_tenant_key", tenant.name, exit_code=1)
    assert Tenant.objects.get(id=tenant.id).min_open_version == 1
    assert Blob.objects.filter(sealed=bytes(damaged)).count() == 1
    done = rotate(tenant, "--retire-anyway")
    assert (done["unreadable"], done["retired"], done["resumed"]) == (1, True, True)
    assert Tenant.objects.get(id=tenant.id).min_open_version == 2


def test_a_transaction_that_will_not_end_keeps_the_old_key_open(
    tenant: MadeTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resealing, "wait_for_running_writes", lambda **_: False)
    assert "still open; run it again" in refused("rotate_tenant_key", tenant.name, exit_code=1)
    assert Tenant.objects.get(id=tenant.id).min_open_version == 1


def test_what_is_sealed_late_under_the_old_key_is_found_by_the_second_visit(
    tenant: MadeTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = seal_blob(tenant.id, kind="payload", plaintext=b"late")

    def store_late(**_: Any) -> bool:
        with tenant_tx(tenant.id):
            insert_blobs([late])
        return True

    monkeypatch.setattr(resealing, "wait_for_running_writes", store_late)
    assert rotate(tenant)["retired"] is True
    row = Blob.objects.get(id=late.id)
    assert sealed_under(bytes(row.sealed)) == 2
    assert open_blob(tenant.id, kind="payload", blob_id=late.id, sealed=late.sealed) == b"late"


def test_an_outcome_sealed_before_the_rotation_is_sealed_again_when_it_is_written(
    tenant: MadeTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(tenant)
    (started,) = start(claim())
    rotations = []

    def rotate_between_seal_and_write(tenant_ids: Any) -> Any:
        with as_role("owner"):
            rotations.append(rotate_tenant_key(tenant.id, progress=lambda _: None))
        set_role("worker")
        return tenants_tx(tenant_ids)

    monkeypatch.setattr(record_module, "tenants_tx", rotate_between_seal_and_write)
    assert record(outcome_of(started, result=b'"kept"')).recorded == 1
    assert len(rotations) == 1
    assert versions(tenant.id) == {2}
    found = find_job(tenant.id, job_uuid(job), include=("result",))
    assert found is not None
    assert found.parts["result"] == b'"kept"'


def test_every_row_is_visited_once_whatever_the_sizes_of_pages_and_batches(
    tenant: MadeTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(23):
        make_job(tenant, payload="x" * (number * 100))
    monkeypatch.setattr(resealing, "PAGE_ROWS", 4)
    seen: list[int] = []
    done = rotate_tenant_key(tenant.id, progress=seen.append)
    assert done.resealed == 24
    assert seen == sorted(seen)
    assert versions(tenant.id) == {2}


def test_batches_are_bounded_in_rows_and_in_bytes_and_lose_nothing() -> None:
    sizes = [10, 10, 10, 500, 10, 90, 20, 10]
    values = [SealedValue(at, size, 1) for at, size in enumerate(sizes)]
    assert list(split_batches(values, max_rows=3, max_bytes=100)) == [[0, 1, 2], [3], [4, 5], [6, 7]]
    assert list(split_batches([], max_rows=3, max_bytes=100)) == []


def test_the_sentence_says_what_was_done_and_an_unknown_tenant_is_refused(tenant: MadeTenant) -> None:
    text = run("rotate_tenant_key", tenant.name)
    assert f"Tenant {tenant.name} seals under version 2 of its key: 1 values were sealed anew" in text
    assert "older versions open nothing any more" in text
    assert "nobody" in refused("rotate_tenant_key", "nobody")


def test_keyed_hashes_are_the_same_after_a_rotation(tenant: MadeTenant) -> None:
    index = tenant_keys(tenant.id).index
    rotate(tenant)
    assert tenant_keys(tenant.id).index == index


def test_a_job_sealed_before_the_rotation_is_sealed_again_when_it_is_stored(
    tenant: MadeTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored_tx = tenant_tx

    def rotate_between_seal_and_store(tenant_id: UUID) -> Any:
        monkeypatch.setattr(accept_module, "tenant_tx", stored_tx)
        rotate_tenant_key(tenant.id, progress=lambda _: None)
        return stored_tx(tenant_id)

    monkeypatch.setattr(accept_module, "tenant_tx", rotate_between_seal_and_store)
    job = make_job(tenant, payload="kept", metadata="too")
    assert Tenant.objects.get(id=tenant.id).min_open_version == 2
    assert versions(tenant.id) == {2}
    found = find_job(tenant.id, job_uuid(job), include=("payload", "metadata"))
    assert found is not None
    assert found.parts == {"payload": b'"kept"', "metadata": b'"too"'}


def test_the_second_visit_begins_only_when_the_new_version_must_be_known_everywhere(
    tenant: MadeTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    visit_all = resealing._visit_all

    def visit(*arguments: Any) -> tuple[int, int]:
        steps.append("visit")
        return visit_all(*arguments)

    def pause(seconds: float) -> None:
        # In hundreds: the first visit took its time of them, on a busy machine seconds.
        steps.append(f"pause of {round(seconds, -2):.0f}")

    monkeypatch.setattr(resealing, "SETTLE_SECONDS", 700.0)
    monkeypatch.setattr(resealing, "_visit_all", visit)

    def wait(**_: float) -> bool:
        steps.append("wait")
        return True

    monkeypatch.setattr(time, "sleep", pause)
    monkeypatch.setattr(resealing, "wait_for_running_writes", wait)
    rotate_tenant_key(tenant.id, progress=lambda _: None)
    assert steps == ["visit", "pause of 700", "wait", "visit", "pause of 0"]
