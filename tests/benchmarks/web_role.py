"""Turns this process into the product's web process on a database of its own, without a server around it."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.faults import CannotMeasure
from tests.benchmarks.servers import PYTHON, ROOT, Servers, made_database, python_environment
from workers.supervisor.provision import assign_logins

Application = Callable[..., Any]


@contextmanager
def web_application(servers: Servers, database: str) -> Iterator[tuple[Application, str]]:
    """The WSGI application under the web role, and an API key of a tenant. Once in a process."""
    with (
        tempfile.TemporaryDirectory(prefix="jobservice-bench-") as folder,
        made_database(servers, database) as owner_url,
    ):
        _manage(folder, owner_url, "migrate", "--no-input")
        _manage(folder, owner_url, "create_keys")
        urls, _ = assign_logins(owner_url, given={}, stored={})
        key = json.loads(_manage(folder, owner_url, "create_tenant", "profiled", "--json").splitlines()[-1])["api_key"]
        _become_web(folder, urls["web"])
        from jobservice.wsgi import application

        yield application, key
        _close_pool()


def _manage(folder: str, owner_url: str, *arguments: str) -> str:
    answer = subprocess.run(
        [PYTHON, "manage.py", *arguments],
        cwd=ROOT,
        env=python_environment(JOBSERVICE_DATA_DIR=folder, DATABASE_URL=owner_url),
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        raise CannotMeasure(f"`manage.py {arguments[0]}` failed: {answer.stderr.strip()[-500:]}")
    return answer.stdout


def _become_web(folder: str, web_url: str) -> None:
    kept = python_environment(
        JOBSERVICE_PROCESS="web",
        JOBSERVICE_DATA_DIR=str(Path(folder)),
        JOBSERVICE_WEB_DATABASE_URL=web_url,
        JOBSERVICE_EGRESS_ALLOW="127.0.0.0/8,::1/128",
        DJANGO_SETTINGS_MODULE="jobservice.settings",
    )
    os.environ.clear()
    os.environ.update(kept)


def _close_pool() -> None:
    from django.db import connection

    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]  # the PostgreSQL backend has it
