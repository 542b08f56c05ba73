"""A database of its own as `manage.py prepare` leaves it, with roles that log in: for tests of what spans processes."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from django.conf import settings
from psycopg import sql

from workers.supervisor.connections import RUNTIME_ROLES
from workers.supervisor.provision import prepare_owner

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class PreparedDatabase:
    """`data_dir` has its connections.json; the keys are those of the test run."""

    owner_url: str
    data_dir: Path

    @property
    def urls(self) -> dict[str, str]:
        stored: dict[str, str] = json.loads((self.data_dir / "connections.json").read_text())
        return {**stored, "owner": self.owner_url}

    def command(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run one of the operator's commands on this database."""
        environment = {
            **os.environ,
            "DATABASE_URL": self.owner_url,
            "JOBSERVICE_DATA_DIR": str(self.data_dir),
            "JOBSERVICE_ROOT_KEY_FILE": str(settings.ENVIRONMENT.root_key_file),
            "JOBSERVICE_MESSAGE_KEY_FILE": str(settings.ENVIRONMENT.message_key_file),
            **variables,
        }
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )


@contextmanager
def new_database(data_dir: Path) -> Iterator[PreparedDatabase]:
    """An empty database and its owner on the server of the tests; gone at the end, with its roles."""
    name = f"prepared_{secrets.token_hex(4)}"
    superuser_url = urlsplit(settings.ENVIRONMENT.database_urls["owner"])._replace(path="/postgres").geturl()
    owner_url = prepare_owner(superuser_url, database=name)
    try:
        yield PreparedDatabase(owner_url, data_dir)
    finally:
        with psycopg.connect(superuser_url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
            for role in (*RUNTIME_ROLES, "owner"):
                connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(f"{name}_{role}")))
