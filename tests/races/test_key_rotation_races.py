"""Rotations of keys while jobs are submitted, run and read, with real threads, connections and commits."""

from __future__ import annotations

import random
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection

from jobservice.crypto.envelope import sealed_under
from jobservice.crypto.root_key import wrapped_under
from jobservice.database import wait_for_running_writes
from jobservice.errors import Conflict, Unavailable
from jobservice.ids import JOB, new_id, parse_id
from jobservice.jobs import resealing
from jobservice.jobs.accept import accept_job
from jobservice.jobs.claims import claim_jobs
from jobservice.jobs.leases import start_jobs
from jobservice.jobs.models import Job, LiveJob
from jobservice.jobs.record import record_outcomes
from jobservice.jobs.reports import Progress, ReportingRun, write_report
from jobservice.jobs.resealing import rotate_tenant_key
from jobservice.jobs.selectors import find_job
from jobservice.jobs.timeline import list_attempts
from tenants import data_keys, key_changes, key_rotation
from tenants.blobs import insert_blobs, open_blob, seal_blob
from tenants.context import tenant_tx
from tenants.data_keys import forget_opened_keys, tenant_keys
from tenants.models import Blob, DataKey, Installation, Tenant
from tenants.root_key_rotation import rotate_root_key
from tenants.root_keys import forget_root_keyring, renewed_root_keyring
from tests.factories import Tenant as MadeTenant
from tests.factories import make_job, make_submission, make_tenant
from tests.jobs.dispatching import outcome_of

Race = Callable[..., list[Any]]


def silent(_count: int) -> None:
    """No progress to tell."""


@pytest.fixture
def as_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rotation is not told to this process's cache: it must find out as every other process does."""
    monkeypatch.setattr(key_rotation, "forget_opened_keys", lambda _tenant_id: None)


@pytest.fixture
def quick_rotation(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second to be known everywhere, and a few more: a machine that stands still stands still between a seal and its
    write, too."""
    monkeypatch.setattr(resealing, "SETTLE_SECONDS", 4.0)
    monkeypatch.setattr(resealing, "READ_SECONDS", 1.0)


@pytest.fixture
def spare_root_key(committed: None, root_key_file: Path) -> Any:
    stored = Installation.objects.values("root_key_fingerprint", "audit_key", "login_key").get()
    yield root_key_file
    Installation.objects.update(**stored)


class Load:
    """Submits, runs and reads jobs of one tenant until it is told to stop, and opens every value it meets."""

    def __init__(self, tenant: MadeTenant) -> None:
        self.tenant = tenant
        self.over = threading.Event()
        self.accepted: list[str] = []
        self.ended = self.found = 0

    def submit(self) -> int:
        count = 0
        while not self.over.is_set():
            self.accepted.append(accept_job(self.tenant.id, make_submission(payload={"n": count}))["id"])
            count += 1
            time.sleep(0.005)
        return count

    def work(self) -> int:
        """As a worker does: payloads are held from the start on and opened when their turn comes."""
        count = 0
        while not self.over.is_set() or LiveJob.objects.filter(state="available").exists():
            refs = [claim.ref for claim in claim_jobs("handlers", limit=20, lease_seconds=30)]
            started = start_jobs(refs, worker_id=new_id(), group_id=new_id(), lease_seconds=30) if refs else []
            for job in started:
                payload = open_blob(job.tenant_id, kind="payload", blob_id=job.payload_id, sealed=job.sealed_payload)
                write_report(ReportingRun(job.tenant_id, job.job_id, job.epoch), progress=Progress(50, "half"))
                count += record_outcomes([outcome_of(job, result=payload)]).recorded
                self.ended = count
        return count

    def hold(self, until: threading.Event) -> int:
        """As a worker with a long group does: the last of its jobs has its turn after the rotation."""
        while len(self.accepted) < 10:
            time.sleep(0.01)
        held: list[Any] = []
        while not held:
            refs = [claim.ref for claim in claim_jobs("handlers", limit=5, lease_seconds=60)]
            held = start_jobs(refs, worker_id=new_id(), group_id=new_id(), lease_seconds=60) if refs else []
        for number in range(10_000):
            if until.wait(timeout=0.005):
                break
            for job in held:
                said = Progress(number / 100, f"step {number}")
                assert write_report(ReportingRun(job.tenant_id, job.job_id, job.epoch), progress=said)
        assert until.is_set()
        time.sleep(key_changes.CHECK_SECONDS)
        outcomes = [
            outcome_of(
                job,
                result=open_blob(job.tenant_id, kind="payload", blob_id=job.payload_id, sealed=job.sealed_payload),
            )
            for job in held
        ]
        return record_outcomes(outcomes).recorded

    def read(self) -> int:
        count = 0
        while not self.over.is_set():
            if self.accepted:
                job_id = parse_id(JOB, random.choice(self.accepted))
                assert job_id is not None
                found = find_job(self.tenant.id, job_id, include=("payload", "result"))
                assert found is not None
                assert found.parts["payload"].startswith(b'{"n":')
                count += 1
                self.found = count
        return count

    def go_on(self, times: int) -> None:
        """Until so many more jobs were submitted, ended and found: how soon that is, is up to the machine."""
        wanted, deadline = [done + times for done in self._done()], time.monotonic() + 40
        while any(done < least for done, least in zip(self._done(), wanted, strict=True)):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def _done(self) -> tuple[int, int, int]:
        return len(self.accepted), self.ended, self.found

    def during(self, act: Callable[[], Any]) -> Callable[[], Any]:
        """The act in the middle of it all."""

        def run() -> Any:
            try:
                self.go_on(10)
                return act()
            finally:
                self.over.set()

        return run


def test_no_open_fails_while_a_tenants_key_is_rotated_twice_under_load(
    racing_tenant: MadeTenant, race: Race, quick_rotation: None, as_another_process: None
) -> None:
    load, is_rotated = Load(racing_tenant), threading.Event()

    def rotate_twice() -> list[Any]:
        first = rotate_tenant_key(racing_tenant.id, progress=silent)
        is_rotated.set()
        load.go_on(50)
        return [first, rotate_tenant_key(racing_tenant.id, progress=silent)]

    submitted, read, *worked, rotations = race(
        "owner", load.submit, load.read, load.work, lambda: load.hold(is_rotated), load.during(rotate_twice)
    )
    assert [(done.version, done.unreadable, done.is_retired) for done in rotations] == [(2, 0, True), (3, 0, True)]
    assert submitted == sum(worked) == Job.objects.filter(final_state="completed").count() > 50
    assert read > 50
    assert {sealed_under(bytes(blob.sealed)) for blob in Blob.objects.all()} == {3}
    assert Tenant.objects.get(id=racing_tenant.id).min_open_version == 3
    for shown in load.accepted:
        job_id = parse_id(JOB, shown)
        assert job_id is not None
        found = find_job(racing_tenant.id, job_id, include=("payload", "result"))
        assert found is not None
        assert found.parts["result"] == found.parts["payload"]
        page = list_attempts(racing_tenant.id, job_id, limit=5)
        assert page is not None
        assert [attempt["progress"]["message"][:4] for attempt in page.data] in (["half"], ["step"])


def test_two_rotations_of_one_tenant_at_once_make_one_version(
    racing_tenant: MadeTenant, race: Race, quick_rotation: None
) -> None:
    for _ in range(30):
        make_job(racing_tenant)
    rotate = [lambda: rotate_tenant_key(racing_tenant.id, progress=silent)] * 2
    first, second = race("owner", *rotate)
    assert first.version == second.version == 2
    assert {first.is_resumed, second.is_resumed} == {True, False}
    # The signing secret besides the payloads; each value was sealed anew once.
    assert first.resealed + second.resealed == 31


def test_a_transaction_that_outlasts_the_time_is_reported_and_one_that_only_reads_is_not_waited_for(
    racing_tenant: MadeTenant, race: Race
) -> None:
    is_open, is_looked_at = threading.Event(), threading.Event()

    def write() -> None:
        with tenant_tx(racing_tenant.id):
            insert_blobs([seal_blob(racing_tenant.id, kind="payload", plaintext=b"1")])
            is_open.set()
            assert is_looked_at.wait(timeout=30)

    def read() -> None:
        with tenant_tx(racing_tenant.id):
            Blob.objects.count()
            assert is_looked_at.wait(timeout=30)

    def look() -> bool:
        assert is_open.wait(timeout=30)
        is_over = wait_for_running_writes(timeout_seconds=0.3)
        is_looked_at.set()
        return is_over

    assert race("owner", write, read, look)[-1] is False
    assert wait_for_running_writes(timeout_seconds=30)


def test_the_older_key_is_kept_open_for_a_transaction_that_still_writes(
    racing_tenant: MadeTenant, race: Race, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resealing, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(resealing, "READ_SECONDS", 0.0)
    old = [seal_blob(racing_tenant.id, kind="payload", plaintext=b"1") for _ in range(2)]
    wrote = threading.Event()

    def write_slowly() -> float:
        with tenant_tx(racing_tenant.id):
            insert_blobs(old[:1])
            wrote.set()
            time.sleep(2.0)
            insert_blobs(old[1:])
            # Before the commit: the rotation may see that one sooner than this thread has its turn again.
            return time.monotonic()

    def rotate() -> tuple[Any, float]:
        assert wrote.wait(timeout=30)
        return rotate_tenant_key(racing_tenant.id, progress=silent), time.monotonic()

    written_at, (done, retired_at) = race("owner", write_slowly, rotate)
    assert done.is_retired
    assert retired_at > written_at
    assert {sealed_under(bytes(blob.sealed)) for blob in Blob.objects.all()} == {2}


def test_no_open_fails_while_the_root_key_is_rotated_under_load(
    racing_tenant: MadeTenant, race: Race, spare_root_key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Every use of a key loads it anew, so that each meets what the rotation has just written.
    monkeypatch.setattr(data_keys, "CACHE_SECONDS", 0.0)
    load = Load(racing_tenant)

    def rotate_and_make_tenants() -> list[Any]:
        done = []
        for _ in range(5):
            done.append(rotate_root_key(progress=silent))
            make_tenant()
            load.go_on(5)
        return done

    submitted, read, worked, rotations = race(
        "owner", load.submit, load.read, load.work, load.during(rotate_and_make_tenants)
    )
    assert [done.version for done in rotations] == [2, 3, 4, 5, 6]
    assert {done.remaining for done in rotations} == {0}
    assert submitted == worked > 20
    assert read > 20
    assert {wrapped_under(bytes(row.wrapped)) for row in DataKey.objects.all()} == {6}


def test_of_two_rotations_of_the_root_key_at_once_one_is_refused(
    racing_tenant: MadeTenant, race: Race, spare_root_key: Path
) -> None:
    is_under_way, is_refused = threading.Event(), threading.Event()

    def wait_in_the_middle(_count: int) -> None:
        is_under_way.set()
        assert is_refused.wait(timeout=30)

    def be_refused() -> str:
        assert is_under_way.wait(timeout=30)
        with pytest.raises(Conflict, match="rotated already"):
            rotate_root_key(progress=silent)
        is_refused.set()
        return "refused"

    done, refused = race("owner", lambda: rotate_root_key(progress=wait_in_the_middle), be_refused)
    assert (done.version, refused) == (2, "refused")
    assert rotate_root_key(progress=silent).version == 3


def test_an_older_copy_of_the_key_file_is_found_out_and_replaced_without_a_restart(
    racing_tenant: MadeTenant, spare_root_key: Path, tmp_path: Path
) -> None:
    """Two machines: the second gets its copy late, answers that it cannot, and then can."""
    late = tmp_path / "late.key"
    shutil.copy(spare_root_key, late)
    blob = seal_blob(racing_tenant.id, kind="payload", plaintext=b"1")
    rotate_root_key(progress=silent)
    rotated = spare_root_key.read_bytes()
    spare_root_key.write_bytes(late.read_bytes())
    forget_root_keyring()
    forget_opened_keys()
    with pytest.raises(Unavailable, match="not in the root key file"):
        open_blob(racing_tenant.id, kind="payload", blob_id=blob.id, sealed=blob.sealed)
    spare_root_key.write_bytes(rotated)
    assert open_blob(racing_tenant.id, kind="payload", blob_id=blob.id, sealed=blob.sealed) == b"1"
    assert renewed_root_keyring().current_version == 2


def test_while_the_database_is_away_what_is_open_stays_open_for_a_while(
    racing_tenant: MadeTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = tenant_keys(racing_tenant.id)
    monkeypatch.setattr(key_changes, "CHECK_SECONDS", 0.0)

    def away(*_: Any, **__: Any) -> Any:
        raise OperationalError("away")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "cursor", away)
        assert tenant_keys(racing_tenant.id) is opened
        patch.setattr(data_keys, "CACHE_SECONDS", 0.0)
        with pytest.raises(OperationalError):
            tenant_keys(racing_tenant.id)
    assert tenant_keys(racing_tenant.id).current == opened.current
