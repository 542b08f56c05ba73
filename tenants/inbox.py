"""What the inbox of `make run` received: the newest few callbacks of each tenant, for a day, sealed under its own key.

In files of the data folder, not in a table: the inbox is no part of the product's data, so no backup, migration or
statistic knows of it, and every web process of the one machine sees it. What a rotated or destroyed key no longer
opens is gone with it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from uuid import UUID

from django.conf import settings

from jobservice.egress.own_inbox import INBOX_PATH, inbox_origin
from jobservice.errors import SealingError
from jobservice.ids import TENANT, new_id, show_id
from tenants.data_keys import open_column, seal_column
from tenants.login_key import name_under_key

MOST_CALLBACKS = 50
KEPT_SECONDS = 24 * 3600
# Of a longer body the beginning is kept: it is looked at by a person.
MOST_BODY_CHARACTERS = 16 * 1024
_FOLDER, _TABLE, _COLUMN, _SUFFIX = "inbox", "inbox", "callback", ".sealed"
_WORD_LENGTH = 32


@dataclass(frozen=True, slots=True)
class Callback:
    """One request as it came. `received_at` in Unix seconds; `event` is its type, empty when the body names none."""

    received_at: float
    webhook_id: str
    event: str
    is_verified: bool
    body: str = field(repr=False)
    is_cut: bool = False


def is_there() -> bool:
    """Whether this installation has an inbox."""
    there: bool = settings.ENVIRONMENT.dev_inbox
    return there


def inbox_url(tenant_id: UUID) -> str:
    """Where a webhook endpoint sends to the tenant's inbox. Whoever has it can send there."""
    return f"{inbox_origin(settings.ENVIRONMENT)}{INBOX_PATH}/{show_id(TENANT, tenant_id)}/{inbox_word(tenant_id)}"


def inbox_word(tenant_id: UUID) -> str:
    """What only the tenant's own inbox has in its address: 32 hexadecimal digits."""
    return name_under_key("inbox", tenant_id.hex)[:_WORD_LENGTH]


def keep_callback(tenant_id: UUID, callback: Callback) -> None:
    """Keep it, sealed, and let the oldest beyond `MOST_CALLBACKS` go, and all that are over."""
    row_id = new_id()
    document = json.dumps(asdict(callback)).encode()
    sealed = seal_column(tenant_id, table=_TABLE, column=_COLUMN, row_id=row_id, plaintext=document)
    folder = _folder(tenant_id)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Whole or not at all: another process may list the folder this very moment.
    temporary = folder / f".{row_id.hex}"
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(sealed)
    temporary.replace(folder / f"{row_id.hex}{_SUFFIX}")
    _forget_old()


def list_callbacks(tenant_id: UUID) -> list[tuple[UUID, Callback]]:
    """Those that are kept and still open, the newest first, each with an id."""
    _forget_old()
    found = ((row_id, _open(tenant_id, row_id, path)) for row_id, path in _kept(_folder(tenant_id)))
    return [(row_id, one) for row_id, one in found if one is not None]


def _open(tenant_id: UUID, row_id: UUID, path: Path) -> Callback | None:
    try:
        sealed = path.read_bytes()
    except FileNotFoundError:  # let go since it was listed
        return None
    try:
        document = open_column(tenant_id, table=_TABLE, column=_COLUMN, row_id=row_id, sealed=sealed)
    except SealingError:
        path.unlink(missing_ok=True)
        return None
    return Callback(**json.loads(document))


def _kept(folder: Path) -> Iterator[tuple[UUID, Path]]:
    """The newest first: ids sort by their time."""
    for path in sorted(folder.glob(f"*{_SUFFIX}"), reverse=True):
        yield UUID(path.name.removesuffix(_SUFFIX)), path


def _forget_old() -> None:
    """Of all tenants: nobody looks into the inbox of one that is gone."""
    oldest = time.time() - KEPT_SECONDS
    for folder in _root().glob("*"):
        for number, (_, path) in enumerate(_kept(folder)):
            with suppress(FileNotFoundError):
                if number >= MOST_CALLBACKS or path.stat().st_mtime < oldest:
                    path.unlink()


def _folder(tenant_id: UUID) -> Path:
    return _root() / tenant_id.hex


def _root() -> Path:
    folder: Path = settings.ENVIRONMENT.data_dir / _FOLDER
    return folder
