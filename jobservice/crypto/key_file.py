"""Key files: a small JSON text with the versions of one key, readable by its owner only.

`{"format": "jobservice-root-key/v1", "keys": [{"version": 1, "secret": "<64 hex digits>"}]}`; the highest version is
the current one. Every fault is a `ConfigurationError` that names the setting and the fix and shows no secret.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from jobservice.env import ConfigurationError

SECRET_BYTES = 32

_MAX_FILE_BYTES = 64 * 1024
_PRIVATE_MODES = (0o600, 0o400)
_RESTORE = "restore the file from a backup"


@dataclass(frozen=True, slots=True)
class KeyFile:
    """One kind of key file: the setting that places it, and the format name that stands in it."""

    path: Path
    setting: str
    format: str

    def fault(self, sentence: str) -> ConfigurationError:
        return ConfigurationError(f"{self.setting}: {sentence}")


def create_key_file(file: KeyFile) -> None:
    """Write a new file, mode 0600, with a random version 1, whole or not at all.

    Raises `FileExistsError`, leaving the file that is there untouched, or `ConfigurationError` if it cannot be written.
    """
    try:
        draft = _write_draft(file, {1: os.urandom(SECRET_BYTES)})
        try:
            # A link refuses an existing name and appears complete: a process starting beside us never reads half a key.
            os.link(draft, file.path)
        finally:
            draft.unlink()
        _sync_folder(file.path.parent)
    except FileExistsError:
        raise FileExistsError(f"{file.path} exists already; it was not changed.") from None
    except OSError as error:
        raise _cannot_write(file, error) from None


def add_key_version(file: KeyFile) -> int:
    """Add a random key as the highest version, replacing the file at once; returns its version.

    Raises `ConfigurationError` as `read_key_file` does, and when the file cannot be replaced.
    """
    try:
        # Locked before reading: of two rotations at once, the later would drop the version that the earlier added.
        with _locked_folder(file.path.parent):
            keys = read_key_file(file)
            version = max(keys) + 1
            _write_draft(file, {**keys, version: os.urandom(SECRET_BYTES)}).replace(file.path)
            _sync_folder(file.path.parent)
    except OSError as error:
        raise _cannot_write(file, error) from None
    return version


def read_key_file(file: KeyFile) -> dict[int, bytes]:
    """The secrets (32 bytes each) by version, at least one.

    Raises `ConfigurationError` when the file is missing, unreadable, open to other users, or malformed.
    """
    text = _read_private(file)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise file.fault(f"{file.path} is not valid JSON; {_RESTORE}.") from None
    if not isinstance(content, dict) or content.get("format") != file.format:
        raise file.fault(f'{file.path} does not say "format": "{file.format}"; name the right file, or {_RESTORE}.')
    entries = content.get("keys")
    if not isinstance(entries, list) or not entries:
        raise file.fault(f"{file.path} holds no keys; {_RESTORE}.")
    keys: dict[int, bytes] = {}
    for entry in entries:
        version, secret = _read_entry(file, entry)
        if version in keys:
            raise file.fault(f"{file.path} holds key version {version} twice; {_RESTORE}.")
        keys[version] = secret
    return keys


def _read_private(file: KeyFile) -> bytes:
    try:
        # Not blocking, because a named pipe would make the process wait for ever instead of refusing to start.
        descriptor = os.open(file.path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        raise file.fault(f"{file.path} does not exist; {_RESTORE}, or create it if this is the first start.") from None
    except OSError as error:
        raise _cannot_read(file, error) from None
    try:
        _check_private(file, os.fstat(descriptor).st_mode)
        return os.read(descriptor, _MAX_FILE_BYTES)
    except OSError as error:
        raise _cannot_read(file, error) from None
    finally:
        os.close(descriptor)


def _check_private(file: KeyFile, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise file.fault(f"{file.path} is not a regular file; name a key file.")
    permissions = stat.S_IMODE(mode)
    if permissions not in _PRIVATE_MODES:
        raise file.fault(f"{file.path} has mode {permissions:04o}, not 0600 or 0400; run `chmod 600 {file.path}`.")


def _read_entry(file: KeyFile, entry: object) -> tuple[int, bytes]:
    version = entry.get("version") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or type(version) is not int or not 0 < version < 2**32:
        raise file.fault(f"{file.path} holds a key without a version between 1 and {2**32 - 1}; {_RESTORE}.")
    digits = entry.get("secret")
    if not isinstance(digits, str) or not set(digits) <= set("0123456789abcdefABCDEF"):
        raise file.fault(f"{file.path} holds a secret of key version {version} that is not hexadecimal; {_RESTORE}.")
    if len(digits) != 2 * SECRET_BYTES:
        wanted = f"{len(digits)} hexadecimal digits, not {2 * SECRET_BYTES}"
        raise file.fault(f"{file.path} holds a secret of key version {version} with {wanted}; {_RESTORE}.")
    return version, bytes.fromhex(digits)


def _write_draft(file: KeyFile, keys: dict[int, bytes]) -> Path:
    """A private file beside the key file, complete and on disk; the caller gives it its name or removes it."""
    entries = [{"version": version, "secret": secret.hex()} for version, secret in sorted(keys.items())]
    text = json.dumps({"format": file.format, "keys": entries}, indent=2) + "\n"
    draft = file.path.with_name(f".{file.path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as stream:
            os.fchmod(stream.fileno(), 0o600)
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError:
        draft.unlink()
        raise
    return draft


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _locked_folder(folder: Path) -> Iterator[None]:
    """Hold the kernel's lock on the folder, which a crash releases."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _cannot_read(file: KeyFile, error: OSError) -> ConfigurationError:
    return file.fault(f"{file.path} cannot be read ({error.strerror}); run as the user that owns it.")


def _cannot_write(file: KeyFile, error: OSError) -> ConfigurationError:
    return file.fault(
        f"{file.path} cannot be written ({error.strerror}); make its folder exist and writable, or name another path."
    )
