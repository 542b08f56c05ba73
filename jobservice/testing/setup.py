"""What a test run needs before Django reads its settings: a database, key files and a data folder for it alone."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from jobservice.crypto.first_start import create_key_files
from workers.supervisor.embedded_postgres import run_throwaway_postgres

_RUN_MARK = "JOBSERVICE_TEST_RUN"


def prepare_environment(*, kept: Collection[str] = (), **variables: str) -> None:
    """Set the environment for this test run; every `JOBSERVICE_` variable that is not `kept` is forgotten.

    Without `TEST_DATABASE_URL` (a superuser's address) a throw-away PostgreSQL is started from the embedded wheel; all
    is gone at the exit. The processes of pytest-xdist inherit what the first one made.
    """
    if _RUN_MARK in os.environ and "PYTEST_XDIST_WORKER" in os.environ:
        return
    stack = ExitStack()
    atexit.register(stack.close)
    folder = Path(tempfile.mkdtemp(prefix="jobservice-test-"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    for name in [name for name in os.environ if name.startswith("JOBSERVICE_") and name not in kept]:
        del os.environ[name]
    os.environ.pop("BROKER_URL", None)
    os.environ |= {_RUN_MARK: str(os.getpid()), "JOBSERVICE_DATA_DIR": str(folder), **variables}
    os.environ["DATABASE_URL"] = _named(os.environ.get("TEST_DATABASE_URL") or _embedded(stack), "jobservice")
    create_key_files(root_key_file=folder / "root.key", message_key_file=folder / "message.key")


def _embedded(stack: ExitStack) -> str:
    return stack.enter_context(run_throwaway_postgres()).superuser_url


def _named(url: str, database: str) -> str:
    """The same server, another database: Django makes `test_<database>` of it."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"/{database}"))
