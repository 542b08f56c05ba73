"""What is checked before anything starts; each fault is a `ConfigurationError` that names the setting and the fix."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

from kombu import Connection
from kombu.exceptions import OperationalError

from jobservice.env import ConfigurationError
from workers.supervisor.folders import remove_runtime_folder

LOCK_FILE = "up.lock"
GUARD_SECONDS = 10.0
POLL_SECONDS = 0.05
# Connections that the kernel keeps waiting while no web process accepts.
BACKLOG = 2048
CONNECT_SECONDS = 5


def open_port(host: str, port: int) -> socket.socket:
    """Listen there; the web processes, one after another, accept. Raises `ConfigurationError` when that cannot be."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        raise ConfigurationError(f"JOBSERVICE_HOST: {host} is not an address of this machine.") from None
    family, kind, protocol, _, address = addresses[0]
    listener = socket.socket(family, kind, protocol)
    # Connections of an earlier run that are still closing do not count.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigurationError(_explain_refused_port(host, port, error)) from None
    return listener


def check_broker(url: str) -> None:
    """Raises `ConfigurationError`, naming the variable and never the password, unless the broker answers."""
    connection = Connection(url, connect_timeout=CONNECT_SECONDS, transport_options=_one_try(url))
    faults: tuple[type[BaseException], ...] = (
        OSError,
        OperationalError,
        *connection.connection_errors,
        *connection.channel_errors,
    )
    try:
        with connection:
            connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0, timeout=CONNECT_SECONDS)
            # Redis connects with the first channel, AMQP before it.
            connection.channel()
    except faults as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        for secret in (urlsplit(url).password, unquote(urlsplit(url).password or "")):
            reason = reason.replace(secret, "***") if secret else reason
        raise ConfigurationError(
            f"BROKER_URL: the broker cannot be reached ({reason}); start it or correct the address."
        ) from None


def lock_data_folder(data_dir: Path) -> int:
    """Take the folder for this process. Returns the lock's descriptor; it holds until every copy is closed.

    A guard that still ends the children of a killed run is waited for. Raises `ConfigurationError` when another
    supervisor runs here.
    """
    descriptor = os.open(data_dir / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + GUARD_SECONDS
    while not _try_lock(descriptor):
        pid, _ = _read_holder(descriptor)
        if _is_alive(pid) or time.monotonic() > deadline:
            os.close(descriptor)
            raise ConfigurationError(
                f"JOBSERVICE_DATA_DIR: {data_dir} is in use by another `manage.py up` (process {pid}); "
                "stop that one, or name another folder."
            )
        time.sleep(POLL_SECONDS)
    _, runtime_folder = _read_holder(descriptor)
    if runtime_folder:
        remove_runtime_folder(Path(runtime_folder))
    return descriptor


def note_holder(descriptor: int, runtime_folder: Path) -> None:
    """Write who holds the lock and which folder to remove should neither this process nor its guard do it."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n{runtime_folder}\n".encode(), 0)


def _explain_refused_port(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        other = port + 1 if port < 65535 else 8000
        return f"PORT {port} is taken by another program; stop it or run PORT={other} make run."
    if error.errno == errno.EACCES:
        return f"PORT {port} may only be used by root; run PORT=8000 make run."
    return f"JOBSERVICE_HOST: {host} is not an address of this machine."


def _one_try(url: str) -> dict[str, object]:
    if urlsplit(url).scheme.startswith("redis"):
        return {"socket_connect_timeout": CONNECT_SECONDS, "socket_timeout": CONNECT_SECONDS}
    return {"max_retries": 0}


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_holder(descriptor: int) -> tuple[int, str]:
    """(process id, runtime folder) of the last holder; (0, "") when it had not come that far."""
    lines = os.pread(descriptor, 4096, 0).decode(errors="replace").splitlines()
    if len(lines) < 2 or not lines[0].isdigit():
        return 0, ""
    return int(lines[0]), lines[1]


def _is_alive(pid: int) -> bool:
    """A process id of 0 is a holder that has just taken the lock; a zombie has ended."""
    if pid == 0:
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
