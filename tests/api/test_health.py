"""GET /healthz and /readyz."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection

from jobservice.crypto.root_key import add_root_key_version, create_root_key_file, load_root_keyring
from tenants.models import Installation
from tenants.root_keys import forget_root_keyring
from tests.api.keys import problem

pytestmark = pytest.mark.django_db


def test_a_process_that_answers_is_alive(api: Any) -> None:
    answer = api.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_a_whole_installation_is_ready(api: Any) -> None:
    answer = api.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})


def test_a_database_away_is_named_and_leaves_the_process_alive(client: Any, monkeypatch: Any) -> None:
    def away(*_args: Any, **_kwargs: Any) -> None:
        raise OperationalError("canary")

    monkeypatch.setattr(connection, "cursor", away)
    answer = client.get("/readyz")
    document = problem(answer, 503, "unavailable")
    assert document["detail"] == "The database cannot be reached."
    assert answer.headers["Retry-After"]
    assert client.get("/healthz").status_code == 200


def test_a_migration_that_is_missing_is_named(api: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'jobs'")
    assert "manage.py migrate" in problem(api.get("/readyz"), 503, "unavailable")["detail"]


def test_another_installations_root_key_is_named(api: Any, root_key_file: Path) -> None:
    root_key_file.unlink()
    create_root_key_file(root_key_file)
    forget_root_keyring()
    assert problem(api.get("/readyz"), 503, "unavailable")["detail"] == "The root key is not the one of this database."


def test_a_root_key_rotated_meanwhile_leaves_the_process_ready(api: Any, root_key_file: Path) -> None:
    assert api.get("/readyz").status_code == 200
    add_root_key_version(root_key_file)
    Installation.objects.update(root_key_fingerprint=load_root_keyring(root_key_file).fingerprint())
    assert api.get("/readyz").status_code == 200


def test_an_installation_without_a_key_is_named(api: Any) -> None:
    Installation.objects.all().delete()
    assert "manage.py create_keys" in problem(api.get("/readyz"), 503, "unavailable")["detail"]
