"""The folders and private files of a run: the data folder, the short-lived socket folder, secrets written whole.

Never changes the mode or the owner of anything that was there before.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from jobservice.env import ConfigurationError

RUNTIME_PREFIX = "jobservice-"
# sun_path holds 108 bytes with its final NUL; this is the longest name put below a runtime folder.
LONGEST_SOCKET_NAME = "/pg/.s.PGSQL.5432.lock"
LONGEST_SOCKET_PATH = 107


def prepare_data_folder(path: Path) -> None:
    """Make the data folder when it is missing. Raises `ConfigurationError` when this user cannot use it."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            list(path.iterdir())
    except FileExistsError:
        raise ConfigurationError(
            f"JOBSERVICE_DATA_DIR: {path} is not a folder; name a folder, or remove that file."
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"JOBSERVICE_DATA_DIR: {path} cannot be used by user {os.geteuid()} ({error.strerror}); "
            "run as the user that owns it, or name another folder."
        ) from None


def make_runtime_folder() -> Path:
    """A new folder with a random name for sockets, short enough for them. The caller removes it.

    For root its entries can be reached by name (PostgreSQL runs as another user), so each socket's own folder is 0700.
    """
    for base in _runtime_bases():
        if base.is_dir() and os.access(base, os.W_OK | os.X_OK):
            folder = Path(tempfile.mkdtemp(prefix=RUNTIME_PREFIX, dir=base))
            if len(os.fsencode(f"{folder}{LONGEST_SOCKET_NAME}")) <= LONGEST_SOCKET_PATH:
                folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
                return folder
            folder.rmdir()
    raise ConfigurationError("No folder for sockets: /run or /tmp must be writable.")


def make_private_folder(path: Path, *, owner: tuple[int, int] | None = None) -> Path:
    """Make `path` with mode 0700, for `owner` (uid, gid) when given."""
    path.mkdir(mode=0o700)
    if owner:
        os.chown(path, *owner)
    return path


def remove_runtime_folder(path: Path) -> None:
    """Remove a folder that `make_runtime_folder` made; anything else is left alone."""
    if path.name.startswith(RUNTIME_PREFIX) and path.parent in _runtime_bases():
        shutil.rmtree(path, ignore_errors=True)


def write_private(path: Path, text: str) -> None:
    """Replace `path` by a file of mode 0600: a reader sees the old text or the new, also after a crash."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _runtime_bases() -> list[Path]:
    own = Path("/run") if os.geteuid() == 0 else Path(f"/run/user/{os.geteuid()}")
    return [own, Path("/tmp")]  # noqa: S108 - mkdtemp makes an unguessable 0700 folder in it  # nosec B108
