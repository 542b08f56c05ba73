"""Rotations of the root key in Vault while jobs are submitted, run and read, and each use of a key unwraps it anew."""

from __future__ import annotations

from typing import Any

import pytest

from jobservice.crypto import vault_keys
from jobservice.crypto.root_key import wrapped_under
from tenants import data_keys
from tenants.models import DataKey
from tenants.root_key_rotation import rotate_root_key
from tests.crypto.vault_use import vault_installation
from tests.factories import make_tenant
from tests.races.test_key_rotation_races import Load, Race, silent


def test_no_open_fails_while_the_root_key_in_vault_is_rotated_under_load(
    committed: None, race: Race, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_keys, "CACHE_SECONDS", 0.0)
    monkeypatch.setattr(vault_keys, "FRESH_SECONDS", 0.0)

    def rotate_and_make_tenants() -> list[Any]:
        done = []
        for _ in range(3):
            done.append(rotate_root_key(progress=silent))
            make_tenant()
            load.go_on(5)
        return done

    # Whoever has to wait for a busy machine must not take it for an outage.
    with vault_installation(outage_seconds=0, timeout_seconds=20.0) as server:
        load = Load(make_tenant())
        submitted, read, worked, rotations = race(
            "owner", load.submit, load.read, load.work, load.during(rotate_and_make_tenants)
        )
        asked = server.count("decrypt")
    assert [done.version for done in rotations] == [2, 3, 4]
    assert {done.remaining for done in rotations} == {0}
    assert submitted == worked > 10
    assert read > 10
    assert asked > submitted
    assert {wrapped_under(bytes(row.wrapped)) for row in DataKey.objects.all()} == {4}
