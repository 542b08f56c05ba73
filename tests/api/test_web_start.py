"""The web process refuses to start with one sentence and exit code 2, before any worker of it exists."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

from tests.ports import free_port

pytestmark = pytest.mark.deep

ROOT = Path(__file__).parents[2]


def clean_shell() -> dict[str, str]:
    """What a login gives, and where this test run's data are: pytest's own variables would hide a missing one."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "JOBSERVICE_DATA_DIR") if name in os.environ}


def start_web(**variables: str) -> subprocess.CompletedProcess[str]:
    """Start gunicorn as an operator does and wait for its end, which a refusal brings."""
    return subprocess.run(
        [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "jobservice.wsgi:application"],
        cwd=ROOT,
        env={**clean_shell(), "PORT": str(free_port()), **variables},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.django_db
def test_a_role_above_the_wall_is_refused() -> None:
    settings = connection.settings_dict
    user = f"{settings['USER']}:{settings['PASSWORD']}"
    url = f"postgresql://{user}@/{settings['NAME']}?host={settings['HOST']}&port={settings['PORT'] or 5432}"
    refused = start_web(JOBSERVICE_WEB_DATABASE_URL=url)
    assert refused.returncode == 2, refused.stderr
    assert refused.stderr.count("whom row-level security does not bind") == 1
    assert "Traceback" not in refused.stderr


def test_a_database_that_is_away_is_named() -> None:
    refused = start_web(JOBSERVICE_WEB_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert refused.returncode == 2, refused.stderr
    assert "DATABASE_URL: the database cannot be used" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_handler_module_that_is_missing_is_named() -> None:
    refused = start_web(JOBSERVICE_HANDLERS="no_such_module", JOBSERVICE_WEB_DATABASE_URL="postgresql://127.0.0.1:1/x")
    assert refused.returncode == 2, refused.stderr
    assert "no_such_module" in refused.stderr
    assert "Traceback" not in refused.stderr
