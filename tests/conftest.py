"""Fixtures of every test: a tenant, another tenant, an HTTP client, and the role a test acts as."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import pytest
from django.conf import settings
from django.contrib.auth.hashers import reset_hashers
from django.db import connections
from django.test import Client
from django.test.utils import setup_databases, teardown_databases
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from api.wrong_keys import wrong_keys, wrong_tokens
from jobservice.jobs import notifier
from tenants.data_keys import forget_opened_keys
from tenants.installation_keys import ensure_installation_keys, forget_installation_keys
from tenants.models import Installation
from tenants.request_limits import forget_leases
from tenants.root_keys import forget_root_keyring, root_keyring
from tests.contract import check_exchange
from tests.factories import Tenant, make_tenant
from tests.roles import as_role

# How long an example takes, or to think of one, says how busy the machine is, and nothing of the code.
hypothesis_settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("any machine")

# Whole folders of what takes long; elsewhere a file or a test says so itself.
DEEP_FOLDERS = tuple(Path(__file__).parent / name for name in ("races", "security", "workers/supervisor"))


def pytest_itemcollected(item: pytest.Item) -> None:
    if any(folder in item.path.parents for folder in DEEP_FOLDERS):
        item.add_marker(pytest.mark.deep)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """A test that leaves the process in another role would fail some other one, so it fails itself."""
    yield
    left = settings.ENVIRONMENT.process
    if left != "owner":
        settings.ENVIRONMENT = replace(settings.ENVIRONMENT, process="owner")
        pytest.fail(f"{item.name} left the process as {left}")


@pytest.fixture(scope="session", autouse=True)
def _cheap_passwords() -> None:
    """A real hash takes a tenth of a second and 16 MB on purpose."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher", *settings.PASSWORD_HASHERS]
    reset_hashers(setting="PASSWORD_HASHERS")


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None, django_db_modify_db_settings: None, django_db_blocker: Any
) -> Iterator[None]:
    """The migrated database as `manage.py create_keys` leaves it, for tests that roll back and those that commit."""
    with django_db_blocker.unblock():
        made = setup_databases(verbosity=0, interactive=False, aliases={"default": False})
        Installation.objects.create(id=1, root_key_fingerprint=root_keyring().fingerprint())
        ensure_installation_keys()
        yield
        connections.close_all()
        teardown_databases(made, verbosity=0)


@pytest.fixture(autouse=True)
def _fresh_process() -> Iterator[None]:
    """What a process remembers between requests, no test remembers of another."""
    yield
    forget_opened_keys()
    forget_installation_keys()
    forget_leases()
    wrong_keys.forget()
    wrong_tokens.forget()


@pytest.fixture(autouse=True)
def _silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens in most tests, and the notifier's connection would outlive the database."""
    monkeypatch.setattr(notifier, "_wake", lambda _channel: None)


@pytest.fixture(autouse=True)
def _patient_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done to a few things at once is over in the answer, on a slow machine too; else a test says so itself."""
    monkeypatch.setattr("api.bulk_actions.ANSWER_SECONDS", 600.0)
    monkeypatch.setattr("tenants.console.job_acts._WAIT_SECONDS", 600.0)
    monkeypatch.setattr("tenants.console.endpoint_acts._WAIT_SECONDS", 600.0)


@pytest.fixture
def root_key_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the root key file, in use by this process, for a test that changes it."""
    path = tmp_path / "root.key"
    shutil.copy(settings.ENVIRONMENT.root_key_file, path)
    monkeypatch.setattr(settings, "ENVIRONMENT", replace(settings.ENVIRONMENT, root_key_file=path))
    forget_root_keyring()
    yield path
    forget_root_keyring()


@pytest.fixture(autouse=True)
def _own_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that a test runs in this process must not join its counts with those of other test processes."""
    monkeypatch.setattr("workers.metrics_server.keep_metrics_in", lambda _path: None)


@pytest.fixture
def tenant(db: None) -> Tenant:
    return make_tenant()


@pytest.fixture
def other_tenant(db: None) -> Tenant:
    return make_tenant()


class Api(Protocol):
    """Calls the API over Django's handler, as the web process's role, and holds each answer against the document."""

    def get(self, path: str, *, key: str | None = None, **headers: str) -> Any: ...
    def post(self, path: str, body: Any = None, *, key: str | None = None, **headers: str) -> Any: ...
    def put(self, path: str, body: Any = None, *, key: str | None = None, **headers: str) -> Any: ...
    def patch(self, path: str, body: Any = None, *, key: str | None = None, **headers: str) -> Any: ...
    def delete(self, path: str, *, key: str | None = None, **headers: str) -> Any: ...


class _Api:
    def __init__(self) -> None:
        self._client = Client(raise_request_exception=False)

    def get(self, path: str, *, key: str | None = None, **headers: str) -> Any:
        return self.call("GET", path, None, key, headers)

    def post(self, path: str, body: Any = None, *, key: str | None = None, **headers: str) -> Any:
        return self.call("POST", path, body, key, headers)

    def put(self, path: str, body: Any = None, *, key: str | None = None, **headers: str) -> Any:
        return self.call("PUT", path, body, key, headers)

    def patch(self, path: str, body: Any = None, *, key: str | None = None, **headers: str) -> Any:
        return self.call("PATCH", path, body, key, headers)

    def delete(self, path: str, *, key: str | None = None, **headers: str) -> Any:
        return self.call("DELETE", path, None, key, headers)

    def call(self, method: str, path: str, body: Any, key: str | None, headers: dict[str, str]) -> Any:
        """`body` is sent as it is when it is bytes, else as JSON; a header's name is written with underscores."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            sent["Authorization"] = f"Bearer {key}"
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        content_type = sent.pop("Content-Type", "application/json")
        with as_role("web"):
            answer = self._client.generic(method, path, content, content_type=content_type, headers=sent)
        check_exchange(method, path, content, answer)
        return answer


@pytest.fixture
def api(db: None) -> Api:
    return _Api()


@pytest.fixture
def role() -> Any:
    """`with role("dispatcher"): …` acts as that role."""

    @contextmanager
    def act(name: str) -> Iterator[None]:
        with as_role(name):
            yield

    return act
