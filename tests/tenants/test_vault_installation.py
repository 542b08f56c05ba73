"""An installation whose root key is in Vault, or in the environment: made, used, rotated, and through an outage."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, connections

from jobservice.crypto import vault_keys
from jobservice.crypto.root_key import wrapped_under
from jobservice.env import ConfigurationError
from jobservice.errors import KeyProviderAway, SealingError
from jobservice.jobs import resealing
from tenants import data_keys
from tenants.boot import check_root_key
from tenants.data_keys import forget_opened_keys, tenant_keys
from tenants.models import DataKey, Installation
from tenants.request_limits import forget_leases
from tenants.tenancy import create_tenant
from tests.api.keys import problem
from tests.crypto.vault_server import Key, VaultServer
from tests.crypto.vault_use import restart, vault_installation
from tests.factories import Tenant, make_tenant
from tests.tenants.commands import refused, run
from tests.workers.doctor.reading import find
from workers.supervisor.plan import child_environment

pytestmark = [pytest.mark.django_db, pytest.mark.deep]

ROOT = Path(__file__).parents[2]


@pytest.fixture
def vault(db: None) -> Iterator[VaultServer]:
    with vault_installation() as server:
        yield server


@pytest.fixture
def sealed_tenant(vault: VaultServer) -> Tenant:
    return make_tenant()


def wrapped_versions() -> set[int]:
    return {wrapped_under(bytes(wrapped)) for wrapped in DataKey.objects.values_list("wrapped", flat=True)}


def submit(api: Any, tenant: Tenant) -> Any:
    # Keys are read in the transaction of the test, which speaks for a tenant once its share of requests was asked for.
    forget_leases()
    return api.post("/v1/jobs", {"type": "echo", "payload": {"n": 7}}, key=tenant.api_key)


def read_payload(api: Any, tenant: Tenant, job: dict[str, Any]) -> Any:
    return api.get(f"/v1/jobs/{job['id']}?include=payload", key=tenant.api_key)


def test_a_tenant_lives_with_its_root_key_in_vault_through_both_rotations(
    vault: VaultServer, api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resealing, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(resealing, "READ_SECONDS", 0.0)
    tenant = make_tenant()
    job = submit(api, tenant).json()
    rotated = {"root_key_version": 2, "prepared": False, "rewrapped": 4, "remaining": 0}
    assert json.loads(run("rotate_root_key", "--json")) == rotated
    assert wrapped_versions() == {2}
    restart()
    check_root_key()
    assert read_payload(api, tenant, job).json()["payload"] == {"n": 7}
    assert json.loads(run("rotate_tenant_key", tenant.name, "--json"))["retired"]
    restart()
    assert tenant_keys(tenant.id).current.version == 2
    assert read_payload(api, tenant, job).json()["payload"] == {"n": 7}
    assert submit(api, tenant).status_code == 201
    assert "min_decryption_version" in run("rotate_root_key")
    assert vault.count("rewrap") == 0


def test_no_call_to_vault_is_made_in_a_transaction_that_makes_keys(
    vault: VaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = connections["default"]  # this thread's, seen from Vault's
    depth = len(ours.savepoint_ids)
    depths: list[int] = []
    answer = VaultServer.answer

    def note(server: VaultServer, request: Any) -> None:
        depths.append(len(ours.savepoint_ids))
        answer(server, request)

    monkeypatch.setattr(VaultServer, "answer", note)
    create_tenant("new")
    run("rotate_root_key")
    assert len(depths) > 4
    assert set(depths) == {depth}


def test_a_rotation_that_vault_left_in_the_middle_says_so_and_goes_on(
    vault: VaultServer, sealed_tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tenant()
    restart()
    encrypt, count = Key.encrypt, 0

    def fail_at_the_third(key: Key, *arguments: Any) -> dict[str, Any]:
        nonlocal count
        count += 1
        # The first is the fingerprint.
        vault.is_sealed = count >= 4
        return encrypt(key, *arguments)

    monkeypatch.setattr(Key, "encrypt", fail_at_the_third)
    assert "is sealed" in refused("rotate_root_key")
    assert wrapped_versions() == {1, 2}
    monkeypatch.setattr(Key, "encrypt", encrypt)
    vault.is_sealed = False
    done = json.loads(run("rotate_root_key", "--json"))
    assert (done["root_key_version"], done["remaining"]) == (2, 0)
    assert wrapped_versions() == {2}


def test_a_key_that_vault_rotated_by_itself_waits_for_our_rotation(vault: VaultServer, sealed_tenant: Tenant) -> None:
    vault.keys["jobservice"].rotate()
    restart()
    make_tenant()
    assert wrapped_versions() == {1}
    assert json.loads(run("rotate_root_key", "--json"))["root_key_version"] == 2
    assert wrapped_versions() == {2}


def test_in_an_outage_opened_keys_serve_and_others_are_asked_to_come_again(
    vault: VaultServer, sealed_tenant: Tenant, api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_tenant()
    monkeypatch.setattr(vault_keys, "FRESH_SECONDS", 0.0)
    job = submit(api, sealed_tenant).json()
    unknown = DataKey.objects.filter(tenant_id=other.id)
    # As it is in a process that never opened them.
    for row in unknown:
        DataKey.objects.filter(id=row.id).update(wrapped=rewrapped_elsewhere(row))
    forget_opened_keys()
    assert api.get("/readyz").json() == {"status": "ready"}
    vault.stop()
    assert read_payload(api, sealed_tenant, job).json()["payload"] == {"n": 7}
    assert submit(api, sealed_tenant).status_code == 201
    away = submit(api, other)
    document = problem(away, 503, "unavailable")
    assert document["detail"] == "The service that keeps the keys does not answer; try again."
    assert away.headers["Retry-After"]
    assert vault.url not in away.content.decode()
    vault.start()
    assert submit(api, other).status_code == 201


def rewrapped_elsewhere(row: DataKey) -> bytes:
    """The same secret as another process wrapped it: nothing of it is kept here."""
    keys = vault_keys.VaultProvider(settings.ENVIRONMENT.vault, outage_seconds=0).load()
    binding: Any = {"tenant": row.tenant_id, "purpose": row.purpose, "version": row.version}
    return keys.wrap(keys.unwrap(bytes(row.wrapped), **binding), **binding)


def test_readiness_and_doctor_say_that_vault_is_away(vault: VaultServer, sealed_tenant: Tenant, api: Any) -> None:
    assert find("key-files").status == find("tenant-keys").status == "ok"
    vault.is_sealed = True
    said = "The service that keeps the keys does not answer; try again."
    assert api.get("/readyz").json() == {"status": "ready", "warning": said}
    assert "is sealed" in find("key-files").detail
    restart()
    assert problem(api.get("/readyz"), 503, "unavailable")["detail"] == said
    assert find("key-files").status == find("tenant-keys").status == "problem"
    assert "See what `key-files` says" in find("tenant-keys").fix
    vault.is_sealed = False
    assert api.get("/readyz").json() == {"status": "ready"}


def test_while_vault_is_away_opened_keys_are_looked_at_every_few_seconds(
    vault: VaultServer, sealed_tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vault_keys, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(data_keys, "AWAY_SECONDS", 0.0)
    opened = tenant_keys(sealed_tenant.id)
    assert tenant_keys(sealed_tenant.id) is opened
    vault.stop()
    forget_opened_keys()
    kept = tenant_keys(sealed_tenant.id)
    assert kept.data == opened.data
    assert tenant_keys(sealed_tenant.id) is not kept
    DataKey.objects.filter(tenant_id=sealed_tenant.id).delete()
    with pytest.raises(SealingError, match="no keys"):
        tenant_keys(sealed_tenant.id)


def test_the_start_is_refused_without_vault_and_with_another_key(vault: VaultServer) -> None:
    check_root_key()
    vault.keys["jobservice"] = Key()
    with pytest.raises(ConfigurationError, match="is not the root key of this database"):
        check_root_key()
    vault.stop()
    restart()
    with pytest.raises(ConfigurationError, match=r"JOBSERVICE_VAULT_URL: Vault at .* does not answer"):
        check_root_key()
    with pytest.raises(ConfigurationError, match="JOBSERVICE_VAULT_URL"):
        run("create_keys")
    with pytest.raises(ConfigurationError, match="does not answer"):
        run("create_tenant", "late")


def test_an_operators_command_ends_with_2_and_one_sentence_when_vault_is_not_there(tmp_path: Path) -> None:
    token = "t-canary-of-a-test"
    ended = subprocess.run(
        [sys.executable, "manage.py", "create_keys"],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "DATABASE_URL": own_database_url(),
            "JOBSERVICE_DATA_DIR": str(tmp_path),
            "JOBSERVICE_ROOT_KEY_PROVIDER": "vault",
            "JOBSERVICE_VAULT_URL": "http://127.0.0.1:9",
            "JOBSERVICE_VAULT_TOKEN": token,
        },
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode == 2, ended.stderr
    sentence = "JOBSERVICE_VAULT_URL: Vault at http://127.0.0.1:9 does not answer; start it or correct this."
    assert ended.stderr.splitlines()[-1] == sentence
    assert token not in ended.stdout + ended.stderr


def own_database_url() -> str:
    """Where this test's connection is."""
    parts = connection.get_connection_params()
    host = str(parts["host"]).replace("/", "%2F")
    return f"postgresql://{parts['user']}:{parts.get('password', '')}@{host}:{parts.get('port', '')}/{parts['dbname']}"


def test_the_dispatcher_is_given_nothing_that_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = ("JOBSERVICE_ROOT_KEYS", "JOBSERVICE_VAULT_TOKEN", "JOBSERVICE_VAULT_SECRET_ID_FILE")
    for name in secrets:
        monkeypatch.setenv(name, "secret")
    assert not set(secrets) & child_environment(settings.ENVIRONMENT, role="dispatcher").keys()
    assert set(secrets) < child_environment(settings.ENVIRONMENT, role="worker").keys()


def test_the_environment_keeps_root_keys_and_is_rotated_by_hand(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def start_with(versions: int) -> None:
        keys = {version: bytes([version]) * 32 for version in range(1, versions + 1)}
        chosen = replace(settings.ENVIRONMENT, root_key_provider="environment", root_keys=keys)
        monkeypatch.setattr(settings, "ENVIRONMENT", chosen)
        restart()

    Installation.objects.all().delete()
    start_with(1)
    run("create_keys")
    tenant = make_tenant()
    job = submit(api, tenant).json()
    with pytest.raises(ConfigurationError, match=r"append ,2: and the 64 digits"):
        run("rotate_root_key")
    start_with(2)
    assert "JOBSERVICE_ROOT_KEYS and not in use yet" in run("rotate_root_key", "--prepare")
    assert "Keep the older versions in JOBSERVICE_ROOT_KEYS" in run("rotate_root_key")
    assert wrapped_versions() == {2}
    assert read_payload(api, tenant, job).json()["payload"] == {"n": 7}
    assert api.get("/readyz").json() == {"status": "ready"}
    start_with(1)
    with pytest.raises(ConfigurationError, match="it lacks version 2"):
        check_root_key()
    monkeypatch.undo()
    restart()


def test_an_away_error_tells_a_caller_nothing_of_our_inside() -> None:
    away = KeyProviderAway("Vault at https://inside.example.com does not answer.")
    assert "inside" not in away.detail + str(away)
    assert away.code == "unavailable"
