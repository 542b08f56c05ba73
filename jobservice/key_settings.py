"""Where the root keys are kept: the settings of its three providers, and what does not fit between them.

`env.py` reads them with all others; what each provider does is in `jobservice/crypto`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from environs import ValidationError

from jobservice.env_checks import split_parts

FILE, ENVIRONMENT, VAULT = PROVIDERS = ("file", "environment", "vault")
# What of the settings is secret, and is kept from processes that open nothing.
SECRET_SETTINGS = ("JOBSERVICE_ROOT_KEYS", "JOBSERVICE_VAULT_TOKEN", "JOBSERVICE_VAULT_SECRET_ID")

_ROOT_KEY = re.compile(r"([1-9][0-9]{0,8}):([0-9a-fA-F]{64})")
_PATH = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")
_KEY_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?")
_OWN_HOSTS = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Credential:
    """A secret that is shown to Vault; where it stands in a file, whoever renews it writes it there anew."""

    value: str = field(default="", repr=False)
    path: Path | None = None

    def read(self) -> str:
        """As it is now. A file that cannot be read at the moment counts for what it held when the process started."""
        try:
            return (self.path.read_text().strip() if self.path else "") or self.value
        except (OSError, ValueError):
            return self.value


@dataclass(frozen=True, slots=True)
class VaultSettings:
    """Which Transit key of which Vault, and who we are to it: a token, or a role with its secret."""

    url: str = ""
    namespace: str = ""
    mount: str = "transit"
    key: str = "jobservice"
    token: Credential = Credential()
    role_id: str = field(default="", repr=False)
    secret_id: Credential = Credential()
    approle_mount: str = "approle"
    ca_file: Path | None = None
    timeout_seconds: float = 2.0


def find_faults(provider: str, *, root_keys: Mapping[int, bytes], vault: VaultSettings) -> list[str]:
    """A sentence for each setting that the chosen provider lacks."""
    faults = []
    if provider == ENVIRONMENT and not root_keys:
        faults.append(
            "JOBSERVICE_ROOT_KEYS: it is not set, but JOBSERVICE_ROOT_KEY_PROVIDER is environment; set it to 1: and "
            "the 64 digits that `openssl rand -hex 32` prints."
        )
    if provider == VAULT and not vault.url:
        faults.append(
            "JOBSERVICE_VAULT_URL: it is not set, but JOBSERVICE_ROOT_KEY_PROVIDER is vault; set it to Vault's address."
        )
    if provider == VAULT and bool(vault.token.value) == bool(vault.role_id):
        faults.append("JOBSERVICE_VAULT_TOKEN: set either it or JOBSERVICE_VAULT_ROLE_ID, one of the two.")
    return faults


def check_root_keys(text: str) -> None:
    """Raise `ValidationError`, which repeats nothing of the value, unless it is `1:<64 hex digits>,2:…`."""
    found = [_ROOT_KEY.fullmatch(part) for part in split_parts(text)]
    versions = [match[1] for match in found if match]
    if not found or None in found or len(set(versions)) < len(versions):
        raise ValidationError("it must be 1: and 64 hexadecimal digits; put a comma before 2: and those of the next.")


def read_root_keys(text: str) -> dict[int, bytes]:
    """The secrets by version, of a text that was checked."""
    return {int(version): bytes.fromhex(digits) for version, digits in _ROOT_KEY.findall(text)}


def check_vault_url(value: str) -> None:
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _OWN_HOSTS)
    if value and (not is_safe or not parts.hostname or parts.path not in ("", "/") or parts.query or parts.username):
        raise ValidationError(
            "it must be an address such as https://vault.example.com:8200; http only on this machine itself."
        )


def check_vault_path(value: str) -> None:
    """Of a mount or a namespace; empty where there may be none."""
    if value and not _PATH.fullmatch(value):
        raise ValidationError(f"{value!r} is not a path such as transit or team/transit.")


def check_vault_key(value: str) -> None:
    if not _KEY_NAME.fullmatch(value):
        raise ValidationError(f"{value!r} is not the name of a Transit key such as jobservice.")


def check_vault_secret(value: str) -> None:
    """Of what is sent in a header or a login. Its fault does not repeat it."""
    if not value.isascii() or not all("!" <= character <= "~" for character in value):
        raise ValidationError("it must be printable ASCII characters without spaces.")
