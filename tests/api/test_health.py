"""GET /healthz and /readyz."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection

import api.health
from jobservice.crypto.root_key import create_root_key_file, load_root_keyring
from tenants.models import Installation
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


def test_another_installations_root_key_is_named(api: Any, monkeypatch: Any, tmp_path: Path) -> None:
    create_root_key_file(tmp_path / "root.key")
    other = load_root_keyring(tmp_path / "root.key")
    monkeypatch.setattr(_module(), "root_keyring", lambda: other)
    assert problem(api.get("/readyz"), 503, "unavailable")["detail"] == "The root key is not the one of this database."


def test_an_installation_without_a_key_is_named(api: Any) -> None:
    Installation.objects.all().delete()
    assert "manage.py create_keys" in problem(api.get("/readyz"), 503, "unavailable")["detail"]


def _module() -> Any:
    return api.health
