"""Opened keys are cached, and forgotten in every process within a second of a change."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from jobservice.crypto.envelope import Place, seal
from jobservice.errors import KeyNotHeld, SealingError
from tenants import data_keys, key_changes, key_rotation
from tenants.blobs import insert_blobs, is_outdated, open_blob, seal_blob
from tenants.context import tenant_tx
from tenants.data_keys import forget_opened_keys, open_column, seal_column, tenant_keys
from tenants.key_changes import key_stamp, note_key_change
from tenants.key_rotation import Rotation, begin_rotation, retire_older_versions
from tenants.models import DataKey, Tenant
from tests.factories import Tenant as MadeTenant

pytestmark = pytest.mark.django_db


class Clock:
    """Stands for the monotonic clock of the cache."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(key_changes, "time", clock)
    monkeypatch.setattr(data_keys, "time", clock)
    forget_opened_keys()
    return clock


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rotations happen in another process: this one's cache is not told."""
    monkeypatch.setattr(key_rotation, "forget_opened_keys", lambda _tenant_id: None)


@pytest.fixture
def key_loads(monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    loads: list[UUID] = []
    load = data_keys.load_keys

    def note(tenant_id: UUID, **options: Any) -> Any:
        loads.append(tenant_id)
        return load(tenant_id, **options)

    monkeypatch.setattr(data_keys, "load_keys", note)
    return loads


def test_opened_keys_are_loaded_once_until_somebodys_keys_change(
    tenant: MadeTenant, clock: Clock, key_loads: list[UUID]
) -> None:
    for _ in range(50):
        tenant_keys(tenant.id)
        clock.now += 0.5
    assert key_loads == [tenant.id]
    note_key_change()
    clock.now += key_changes.CHECK_SECONDS
    tenant_keys(tenant.id)
    assert key_loads == [tenant.id] * 2


def test_the_database_is_asked_for_changes_once_a_second_at_most(
    tenant: MadeTenant, clock: Clock, django_assert_num_queries: Any
) -> None:
    tenant_keys(tenant.id)
    with django_assert_num_queries(0):
        for _ in range(100):
            tenant_keys(tenant.id)
    clock.now += key_changes.CHECK_SECONDS
    with django_assert_num_queries(1):
        for _ in range(100):
            tenant_keys(tenant.id)


def test_a_new_version_seals_within_a_second_in_a_process_that_was_not_told(
    tenant: MadeTenant, clock: Clock, elsewhere: None
) -> None:
    assert tenant_keys(tenant.id).current.version == 1
    begin_rotation(tenant.id)
    clock.now += key_changes.CHECK_SECONDS
    assert tenant_keys(tenant.id).current.version == 2


def test_what_another_process_sealed_under_a_newer_version_opens_at_once(
    tenant: MadeTenant, clock: Clock, elsewhere: None
) -> None:
    held = tenant_keys(tenant.id)
    begin_rotation(tenant.id)
    forget_opened_keys()
    sealed = seal_column(tenant.id, table="t", column="c", row_id=tenant.id, plaintext=b"new")
    data_keys._cache[tenant.id] = held
    assert open_column(tenant.id, table="t", column="c", row_id=tenant.id, sealed=sealed) == b"new"


def test_a_version_that_never_was_is_looked_for_once_and_refused(tenant: MadeTenant, key_loads: list[UUID]) -> None:
    sealed = bytearray(seal_column(tenant.id, table="t", column="c", row_id=tenant.id, plaintext=b"1"))
    sealed[3:7] = (77).to_bytes(4, "big")
    key_loads.clear()
    with pytest.raises(KeyNotHeld, match="version 77"):
        open_column(tenant.id, table="t", column="c", row_id=tenant.id, sealed=bytes(sealed))
    assert key_loads == [tenant.id]


def test_an_altered_value_costs_no_look_at_the_database(tenant: MadeTenant, key_loads: list[UUID]) -> None:
    sealed = seal_column(tenant.id, table="t", column="c", row_id=tenant.id, plaintext=b"1")
    key_loads.clear()
    with pytest.raises(SealingError, match="altered"):
        open_column(tenant.id, table="t", column="other", row_id=tenant.id, sealed=sealed)
    assert key_loads == []


def test_a_retired_version_opens_nothing_a_second_later_in_a_process_that_was_not_told(
    tenant: MadeTenant, clock: Clock, elsewhere: None
) -> None:
    sealed = seal_column(tenant.id, table="t", column="c", row_id=tenant.id, plaintext=b"old")
    rotation = begin_rotation(tenant.id)
    clock.now += key_changes.CHECK_SECONDS
    assert open_column(tenant.id, table="t", column="c", row_id=tenant.id, sealed=sealed) == b"old"
    retire_older_versions(rotation)
    clock.now += key_changes.CHECK_SECONDS
    with pytest.raises(KeyNotHeld, match="version 1"):
        open_column(tenant.id, table="t", column="c", row_id=tenant.id, sealed=sealed)


def test_a_copy_read_before_the_rotation_opens_after_it_because_the_stored_value_is_read_again(
    tenant: MadeTenant,
) -> None:
    blob = seal_blob(tenant.id, kind="payload", plaintext=b"waited long")
    with tenant_tx(tenant.id):
        insert_blobs([blob])
    rotation = begin_rotation(tenant.id)
    anew = seal(
        b"waited long",
        key=tenant_keys(tenant.id).current,
        place=Place(tenant.id, "blob", "payload", blob.id),
    )
    with connection.cursor() as cursor:
        cursor.execute("UPDATE blob SET sealed = %s WHERE id = %s", [anew, blob.id])
    retire_older_versions(rotation)
    assert open_blob(tenant.id, kind="payload", blob_id=blob.id, sealed=blob.sealed) == b"waited long"
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM blob WHERE id = %s", [blob.id])
    with pytest.raises(KeyNotHeld):
        open_blob(tenant.id, kind="payload", blob_id=blob.id, sealed=blob.sealed)


def test_a_sealed_value_is_outdated_once_its_tenants_key_was_rotated(
    tenant: MadeTenant, other_tenant: MadeTenant
) -> None:
    blobs = [seal_blob(owner.id, kind="payload", plaintext=b"1") for owner in (tenant, other_tenant)]
    assert not any(is_outdated(blob) for blob in blobs)
    begin_rotation(tenant.id)
    assert [is_outdated(blob) for blob in blobs] == [True, False]


def test_keys_that_were_shredded_are_used_a_second_at_most(
    tenant: MadeTenant, other_tenant: MadeTenant, clock: Clock
) -> None:
    tenant_keys(tenant.id)
    tenant_keys(other_tenant.id)
    DataKey.objects.filter(tenant_id=tenant.id).delete()
    note_key_change()
    clock.now += key_changes.CHECK_SECONDS
    # Any use of any tenant's key drops them all.
    tenant_keys(other_tenant.id)
    assert tenant.id not in data_keys._cache
    with pytest.raises(SealingError, match="no keys"):
        tenant_keys(tenant.id)


def test_an_older_number_read_by_a_slow_thread_does_not_bring_old_keys_back(
    tenant: MadeTenant, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    note_key_change()
    stamp = key_stamp()
    clock.now += key_changes.CHECK_SECONDS
    monkeypatch.setattr(key_changes, "_read_stamp", lambda _known: stamp - 1)
    assert key_stamp() == stamp


def test_a_rotation_that_was_begun_is_resumed_and_not_begun_again(tenant: MadeTenant) -> None:
    assert begin_rotation(tenant.id) == Rotation(tenant.id, 2, is_resumed=False)
    assert begin_rotation(tenant.id) == Rotation(tenant.id, 2, is_resumed=True)
    retire_older_versions(Rotation(tenant.id, 2, is_resumed=True))
    assert Tenant.objects.get(id=tenant.id).min_open_version == 2
    assert begin_rotation(tenant.id) == Rotation(tenant.id, 3, is_resumed=False)


def test_a_rotation_leaves_the_index_key_and_so_every_lock_name_as_it_was(tenant: MadeTenant) -> None:
    index = tenant_keys(tenant.id).index
    retire_older_versions(begin_rotation(tenant.id))
    assert tenant_keys(tenant.id).index == index
    assert DataKey.objects.filter(tenant_id=tenant.id, purpose="index").count() == 1
