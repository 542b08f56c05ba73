"""`manage.py rotate_root_key`: a new root key version, and every tenant's keys wrapped anew, while processes run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from jobservice.crypto import root_key_provider
from jobservice.crypto.root_key import RootKeyring, RootKeys, add_root_key_version, load_root_keyring, wrapped_under
from jobservice.env import ConfigurationError
from jobservice.errors import Unavailable
from tenants import root_key_rotation, root_keys
from tenants.blobs import open_blob, seal_blob
from tenants.boot import check_root_key
from tenants.context import tenant_tx, tenants_tx
from tenants.data_keys import forget_opened_keys, tenant_keys
from tenants.models import DataKey, Installation
from tenants.root_keys import forget_root_keyring, root_keyring
from tests.factories import Tenant, make_tenant
from tests.roles import as_role
from tests.tenants.commands import refused, run

pytestmark = pytest.mark.django_db


def wrapped_versions() -> set[int]:
    return {wrapped_under(bytes(wrapped)) for wrapped in DataKey.objects.values_list("wrapped", flat=True)}


def rotate(*arguments: str) -> dict[str, Any]:
    done: dict[str, Any] = json.loads(run("rotate_root_key", "--json", *arguments))
    return done


def test_every_key_is_wrapped_anew_and_opens_what_it_opened(
    tenant: Tenant, other_tenant: Tenant, root_key_file: Path
) -> None:
    blob = seal_blob(tenant.id, kind="payload", plaintext=b"1")
    secrets = {owner.id: tenant_keys(owner.id).data for owner in (tenant, other_tenant)}
    assert rotate() == {"root_key_version": 2, "prepared": False, "rewrapped": 6, "remaining": 0}
    assert wrapped_versions() == {2}
    forget_opened_keys()
    assert {owner: tenant_keys(owner).data for owner in secrets} == secrets
    assert open_blob(tenant.id, kind="payload", blob_id=blob.id, sealed=blob.sealed) == b"1"


def test_each_rotation_makes_one_version_and_keeps_the_older_ones(tenant: Tenant, root_key_file: Path) -> None:
    assert [rotate()["root_key_version"], rotate()["root_key_version"]] == [2, 3]
    assert sorted(load_root_keyring(root_key_file).secrets) == [1, 2, 3]
    assert wrapped_versions() == {3}


def test_prepare_only_adds_the_version_and_nothing_uses_it_yet(tenant: Tenant, root_key_file: Path) -> None:
    assert rotate("--prepare") == {"root_key_version": 2, "prepared": True}
    assert rotate("--prepare")["root_key_version"] == 2
    late = make_tenant()
    assert wrapped_versions() == {1}
    assert rotate()["root_key_version"] == 2
    assert wrapped_versions() == {2}
    assert DataKey.objects.filter(tenant_id=late.id).count() == 2


def test_a_run_that_was_cut_short_goes_on_without_another_version(
    tenant: Tenant, other_tenant: Tenant, root_key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrap = root_key_rotation._rewrap_tenant

    def die_after_the_first(*arguments: Any) -> Any:
        if wrapped_versions() == {1, 2}:
            raise KeyboardInterrupt
        return rewrap(*arguments)

    monkeypatch.setattr(root_key_rotation, "_rewrap_tenant", die_after_the_first)
    with pytest.raises(KeyboardInterrupt):
        run("rotate_root_key")
    assert wrapped_versions() == {1, 2}
    monkeypatch.setattr(root_key_rotation, "_rewrap_tenant", rewrap)
    assert rotate() == {"root_key_version": 2, "prepared": False, "rewrapped": 4, "remaining": 0}
    assert wrapped_versions() == {2}


def test_a_key_that_does_not_open_is_counted_and_the_others_are_done(
    tenant: Tenant, other_tenant: Tenant, root_key_file: Path
) -> None:
    row = DataKey.objects.filter(tenant_id=tenant.id, purpose="data").get()
    wrapped = bytes(row.wrapped)
    DataKey.objects.filter(id=row.id).update(wrapped=wrapped[:-1] + bytes([wrapped[-1] ^ 1]))
    assert "Not every key" in refused("rotate_root_key", exit_code=1)
    assert DataKey.objects.exclude(id=row.id).count() == 3
    assert wrapped_versions() == {1, 2}


def test_a_key_replaced_meanwhile_is_not_written_back(
    tenant: Tenant, root_key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrap = root_key_rotation._rewrap

    def shredded_meanwhile(wrapped: bytes, keyring: RootKeys, **place: Any) -> bytes:
        DataKey.objects.filter(wrapped=wrapped).update(wrapped=b"another")
        Installation.objects.filter(audit_key=wrapped).update(audit_key=b"another" * 5)
        Installation.objects.filter(login_key=wrapped).update(login_key=b"another" * 5)
        return rewrap(wrapped, keyring, **place)

    monkeypatch.setattr(root_key_rotation, "_rewrap", shredded_meanwhile)
    assert root_key_rotation.rotate_root_key(progress=lambda _: None).rewrapped == 0
    assert {bytes(row.wrapped) for row in DataKey.objects.all()} == {b"another"}
    assert bytes(Installation.objects.get().audit_key or b"") == b"another" * 5
    assert bytes(Installation.objects.get().login_key or b"") == b"another" * 5


@pytest.mark.parametrize("process", ["web", "worker"])
def test_a_running_process_reads_the_key_file_again_when_it_meets_a_new_version(
    tenant: Tenant, root_key_file: Path, process: str
) -> None:
    blob = seal_blob(tenant.id, kind="payload", plaintext=b"1")
    before = root_keyring()
    run("rotate_root_key")
    # As another process is: started before the rotation.
    root_keys._loaded = root_keys._Loaded(root_keys.root_key_provider(), (0,), before)
    forget_opened_keys()
    with as_role(process), tenants_tx([tenant.id]) if process == "worker" else tenant_tx(tenant.id):
        assert open_blob(tenant.id, kind="payload", blob_id=blob.id, sealed=blob.sealed) == b"1"


def test_a_damaged_key_does_not_make_a_process_read_the_file_at_every_request(
    tenant: Tenant, root_key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root_keyring()
    DataKey.objects.update(wrapped=b"K1\x01" + (99).to_bytes(4, "big") + bytes(60))
    reads: list[Path] = []

    def read(path: Path) -> RootKeyring:
        reads.append(path)
        return load_root_keyring(path)

    monkeypatch.setattr(root_key_provider, "load_root_keyring", read)
    for _ in range(20):
        forget_opened_keys()
        with pytest.raises(Unavailable):
            tenant_keys(tenant.id)
    assert reads == []
    add_root_key_version(root_key_file)
    for _ in range(20):
        with pytest.raises(Unavailable):
            tenant_keys(tenant.id)
    assert len(reads) == 1


def test_half_a_copy_of_the_file_leaves_the_loaded_keys_until_it_is_whole(tenant: Tenant, root_key_file: Path) -> None:
    before = root_keyring()
    run("rotate_root_key")
    whole = root_key_file.read_bytes()
    root_keys._loaded = root_keys._Loaded(root_keys.root_key_provider(), (0,), before)
    root_key_file.write_bytes(whole[: len(whole) // 2])
    forget_opened_keys()
    with pytest.raises(Unavailable):
        tenant_keys(tenant.id)
    root_key_file.write_bytes(whole)
    assert tenant_keys(tenant.id).current.version == 1


def test_the_start_accepts_the_rotated_file_and_names_an_older_copy(tenant: Tenant, root_key_file: Path) -> None:
    old = root_key_file.read_bytes()
    run("rotate_root_key")
    forget_root_keyring()
    check_root_key()
    root_key_file.write_bytes(old)
    forget_root_keyring()
    with pytest.raises(ConfigurationError, match="older copy, without version 2"):
        check_root_key()


def test_a_restored_database_from_before_is_still_recognised(tenant: Tenant, root_key_file: Path) -> None:
    stored, keys = Installation.objects.get().root_key_fingerprint, list(DataKey.objects.all())
    run("rotate_root_key")
    Installation.objects.update(root_key_fingerprint=stored)
    for key in keys:
        key.save()
    forget_opened_keys()
    check_root_key()
    assert tenant_keys(tenant.id).current.version == 1


def test_the_sentence_says_how_many_and_that_the_file_is_to_be_kept(tenant: Tenant, root_key_file: Path) -> None:
    text = run("rotate_root_key")
    assert "4 keys were wrapped anew under version 2" in text
    assert "none remain" in text
    assert str(root_key_file) in run("rotate_root_key", "--prepare")


def test_a_key_file_that_cannot_be_written_changes_nothing(
    tenant: Tenant, root_key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("jobservice.crypto.key_file._write_draft", refuse)
    with pytest.raises(ConfigurationError, match="cannot be written"):
        run("rotate_root_key")
    assert wrapped_versions() == {1}
    with connection.cursor() as cursor:
        # The lock was given back.
        cursor.execute("SELECT pg_try_advisory_lock(hashtext('rotate_root_key'))")
        assert cursor.fetchone()[0]
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()")
        assert cursor.fetchone()[0] == 1
        cursor.execute("SELECT pg_advisory_unlock(hashtext('rotate_root_key'))")
