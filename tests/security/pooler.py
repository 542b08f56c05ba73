"""PgBouncer in transaction mode in front of a database: whoever comes shares a few connections with everybody else."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from tests.ports import free_port

# Fewer than there are threads in the web process, so that each serves now this tenant and now that one.
CONNECTIONS = 2
PATIENCE_SECONDS = 30.0


def find_pooler() -> str | None:
    """The program; None where it is not installed."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@contextmanager
def running_pooler(program: str, folder: Path, url: str) -> Iterator[str]:
    """The address of the same database and role behind a pooler, which is ended at the end of the block."""
    server = conninfo_to_dict(url)
    port, name = free_port(), str(server["dbname"])
    place = {part: server[part] for part in ("host", "port", "user", "password") if server.get(part)}
    configuration = folder / "pooler.ini"
    configuration.write_text(
        f"[databases]\n{name} = {' '.join(f'{part}={value}' for part, value in place.items())} dbname={name}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
        f"pool_mode = transaction\ndefault_pool_size = {CONNECTIONS}\nmax_client_conn = 100\n"
        # A client's own words about its session are not passed on, as with most poolers that are set up in haste.
        "ignore_startup_parameters = extra_float_digits,options\n"
    )
    log_path = folder / "pooler.log"
    # It does not run as root: as whoever may enter the folder of the server's socket.
    user = ["-u", _socket_owner(str(server["host"]))] if os.geteuid() == 0 else []
    with log_path.open("wb") as log:
        pooler = subprocess.Popen([program, *user, str(configuration)], stdout=log, stderr=log)
    try:
        _await(port, pooler, log_path)
        yield f"postgresql://web@127.0.0.1:{port}/{name}"
    finally:
        pooler.terminate()
        pooler.wait(timeout=PATIENCE_SECONDS)


def _socket_owner(host: str) -> str:
    return Path(host).owner() if host.startswith("/") else "nobody"


def _await(port: int, pooler: subprocess.Popen[bytes], log_path: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and pooler.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"the pooler does not answer:\n{log_path.read_text()[-2000:]}")
