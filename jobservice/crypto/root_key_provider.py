"""Where the root keys are kept: in a file, in the environment or in Vault, as a setting says.

A provider loads what wraps and unwraps (`RootKeys`), makes versions for a rotation, and has the sentences that tell an
operator what to do about its own kind. Its faults are `ConfigurationError`, or `KeyProviderAway` for what may pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from jobservice.crypto.root_key import (
    RootKeyring,
    RootKeys,
    add_root_key_version,
    create_root_key_file,
    load_root_keyring,
)
from jobservice.env import ConfigurationError, Environment
from jobservice.key_settings import ENVIRONMENT, VAULT

Mark = tuple[int, ...] | None


class RootKeyProvider(Protocol):
    """One way to keep root keys."""

    @property
    def is_away(self) -> bool:
        """Whether it lately did not answer, so that what is kept of it serves in its place."""

    @property
    def has_kept(self) -> bool:
        """Whether anything is kept that can still serve."""

    def load(self) -> RootKeys:
        """The root keys as they are now."""

    def mark(self) -> Mark:
        """What differs once they may have changed; None while they cannot be looked at."""

    def create(self, *, is_first: bool) -> Path | None:
        """Make them when there are none, and this is a first start; the file that was made."""

    def add_version(self) -> int:
        """Add the version that a rotation will use; its number."""

    def tell_older(self, version: int) -> str:
        """That this version, which the database uses, is not there, and the fix."""

    def tell_other(self) -> str:
        """That these are not the root keys of this database, and the fix."""

    def tell_prepared(self, version: int) -> str:
        """What to do between the making of a version and its use."""

    def tell_rotated(self) -> str:
        """What to do after a rotation."""


def make_provider(environment: Environment) -> RootKeyProvider:
    """The provider that the settings choose. Raises `ConfigurationError` when a package for it is missing."""
    if environment.root_key_provider == ENVIRONMENT:
        return EnvironmentProvider(environment.root_keys)
    if environment.root_key_provider == VAULT:
        # Here, because its package is an extra that nobody else needs.
        from jobservice.crypto.vault_keys import VaultProvider

        return VaultProvider(environment.vault, outage_seconds=environment.key_outage_seconds)
    return FileProvider(environment.root_key_file)


class _AtHand:
    """What is in this process cannot be away."""

    is_away = False
    has_kept = True


class FileProvider(_AtHand):
    """A key file of mode 0600 on each machine."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> RootKeys:
        return load_root_keyring(self._path)

    def mark(self) -> Mark:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def create(self, *, is_first: bool) -> Path | None:
        if not is_first and not self._path.exists():
            raise ConfigurationError(
                f"JOBSERVICE_ROOT_KEY_FILE: {self._path} is missing, and this database holds values sealed under it; "
                "put the file back."
            )
        try:
            create_root_key_file(self._path)
        except FileExistsError:
            return None
        return self._path

    def add_version(self) -> int:
        return add_root_key_version(self._path)

    def tell_older(self, version: int) -> str:
        return (
            f"JOBSERVICE_ROOT_KEY_FILE: {self._path} is an older copy, without version {version} of the root key; copy "
            "the file again from where `manage.py rotate_root_key` ran."
        )

    def tell_other(self) -> str:
        return (
            f"JOBSERVICE_ROOT_KEY_FILE: {self._path} is not the root key of this database; put back the file that its "
            "first start made."
        )

    def tell_prepared(self, version: int) -> str:
        return (
            f"Version {version} of the root key is in {self._path} and not in use yet.\n"
            "Copy the file to every machine, then run `manage.py rotate_root_key`."
        )

    def tell_rotated(self) -> str:
        return (
            "Back the key file up, apart from the database. The older versions stay in it: backups of the database "
            "need them."
        )


class EnvironmentProvider(_AtHand):
    """JOBSERVICE_ROOT_KEYS: for where secrets come as variables, or as files that JOBSERVICE_ROOT_KEYS_FILE names."""

    def __init__(self, secrets: Mapping[int, bytes]) -> None:
        self._secrets = secrets

    def load(self) -> RootKeys:
        if not self._secrets:
            raise ConfigurationError("JOBSERVICE_ROOT_KEYS: this process has no root keys; set it.")
        return RootKeyring(self._secrets)

    def mark(self) -> Mark:
        return ()  # a process's own environment does not change

    def create(self, *, is_first: bool) -> Path | None:
        return None

    def add_version(self) -> int:
        version = max(self._secrets) + 1
        raise ConfigurationError(
            f"JOBSERVICE_ROOT_KEYS: it has no version after {version - 1}, and cannot be changed from here; append "
            f",{version}: and the 64 digits that `openssl rand -hex 32` prints, restart every process with it, and run "
            "this again."
        )

    def tell_older(self, version: int) -> str:
        return f"JOBSERVICE_ROOT_KEYS: it lacks version {version} of the root key; add it, as other processes have it."

    def tell_other(self) -> str:
        return "JOBSERVICE_ROOT_KEYS: it is not the root key of this database; set it as it was at the first start."

    def tell_prepared(self, version: int) -> str:
        return (
            f"Version {version} of the root key is in JOBSERVICE_ROOT_KEYS and not in use yet.\n"
            "Once every process was restarted with it, run `manage.py rotate_root_key`."
        )

    def tell_rotated(self) -> str:
        return "Keep the older versions in JOBSERVICE_ROOT_KEYS: backups of the database need them."
