"""A pytest plugin, loaded before Django's settings: a database, key files and a data folder for this test run alone.

Without `TEST_DATABASE_URL` (a superuser's address) it starts a throw-away PostgreSQL from the embedded wheel. The
workers of pytest-xdist inherit what the first process made.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

_RUN_MARK = "JOBSERVICE_TEST_RUN"


def _prepare() -> None:
    stack = ExitStack()
    atexit.register(stack.close)
    folder = Path(tempfile.mkdtemp(prefix="jobservice-test-"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    for name in [name for name in os.environ if name.startswith("JOBSERVICE_")]:
        del os.environ[name]
    os.environ[_RUN_MARK] = str(os.getpid())
    os.environ["JOBSERVICE_DATA_DIR"] = str(folder)
    os.environ["DATABASE_URL"] = _named(os.environ.get("TEST_DATABASE_URL") or _embedded(stack), "jobservice")
    os.environ["JOBSERVICE_EGRESS_ALLOW"] = "127.0.0.0/8,::1/128"
    os.environ.pop("BROKER_URL", None)
    _make_keys(folder)


def _embedded(stack: ExitStack) -> str:
    from workers.supervisor.embedded_postgres import run_throwaway_postgres

    return stack.enter_context(run_throwaway_postgres()).superuser_url


def _named(url: str, database: str) -> str:
    """The same server, another database: Django makes `test_<database>` of it."""
    parts = urlsplit(url)
    rebuilt = urlunsplit(parts._replace(path=f"/{database}"))
    return rebuilt


def _make_keys(folder: Path) -> None:
    from jobservice.crypto.first_start import create_key_files

    create_key_files(root_key_file=folder / "root.key", message_key_file=folder / "message.key")


if _RUN_MARK not in os.environ or "PYTEST_XDIST_WORKER" not in os.environ:
    _prepare()
