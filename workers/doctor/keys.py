"""Keys and what is sealed under them: the right files, closed to others; keys that open; bytes that look sealed."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings

from jobservice.crypto.envelope import is_sealed
from jobservice.crypto.message_mac import load_message_key
from jobservice.crypto.root_key import RootKeys
from jobservice.env import ConfigurationError
from jobservice.errors import KeyProviderAway, SealingError, Unavailable
from jobservice.ids import JOB, TENANT, show_id
from tenants.boot import refuse_wrong_root_key
from tenants.login_key import LOGIN_KEY
from tenants.root_keys import root_keyring
from workers.doctor.finding import Finding, ok, problem, show_count
from workers.doctor.reader import Reader
from workers.supervisor.embedded_postgres import SUPERUSER_PASSWORD_FILE
from workers.supervisor.first_tenant import KEY_FILE

TENANTS_LOOKED_AT = 1_000
VALUES_LOOKED_AT = 1_000
JOBS_LOOKED_AT = 1_000
_AWAY = "Keys that were opened before serve for JOBSERVICE_KEY_OUTAGE_SECONDS; then jobs wait, and the API answers 503."
_RESTORE_LOGIN_KEY = "Restore `login_key` of table installation from a backup: it alone opens second factors."
_RESTORE = "Restore the tenant's rows from a backup: what was sealed under that key opens no more."


def check_key_files(reader: Reader) -> Finding:
    """The root key is this database's, and the message key can be read; both by their owner only."""
    rows = reader.read("owner", "SELECT root_key_fingerprint FROM installation")
    try:
        root_keyring()
        load_message_key(settings.ENVIRONMENT.message_key_file)
        if rows:
            refuse_wrong_root_key(rows[0].root_key_fingerprint)
    except KeyProviderAway as error:
        return problem(error.cause, fix=_AWAY)
    except ConfigurationError as error:
        return problem(str(error), fix="No job can be accepted or run until then.")
    if not rows:
        return problem("The database has no root key yet.", fix="Run `manage.py create_keys`.")
    return ok("The root key is the one of this database; key files are closed to others.")


def check_private_files(_reader: Reader) -> Finding:
    """What else in the data folder holds a secret."""
    environment = settings.ENVIRONMENT
    paths = [
        environment.connections_path,
        *(environment.data_dir / name for name in (SUPERUSER_PASSWORD_FILE, KEY_FILE)),
    ]
    return judge_private_files(environment.data_dir, paths)


def judge_private_files(folder: Path, paths: Iterable[Path]) -> Finding:
    if not folder.is_dir():
        return ok("There is no data folder on this machine.")
    open_to_others = [path for path in paths if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077]
    if open_to_others:
        names = " ".join(map(str, open_to_others))
        return problem(f"Others may read {names}.", fix=f"Run `chmod 600 {names}`, and renew what was in it.")
    if folder.stat().st_mode & stat.S_IWOTH and not folder.stat().st_mode & stat.S_ISVTX:
        return problem(f"Anybody may replace files of {folder}.", fix=f"Run `chmod o-w {folder}`.")
    return ok(f"The secrets in {folder} are closed to others.")


def check_tenant_keys(reader: Reader) -> Finding:
    """Every tenant's keys are there, and open under the root key."""
    tenants = reader.read("dispatcher", "tenants", {"limit": TENANTS_LOOKED_AT})
    rows = reader.read("worker", "tenant_keys", tenants=[tenant.id for tenant in tenants])
    try:
        keyring = root_keyring()
        faults = _find_unopened(rows, keyring)
    except (ConfigurationError, KeyProviderAway):
        return problem("The root key cannot be used.", fix="See what `key-files` says.")
    found = {(row.tenant_id, row.purpose) for row in rows}
    faults |= {tenant.id for tenant in tenants for purpose in ("data", "index") if (tenant.id, purpose) not in found}
    if faults:
        return problem(f"The keys of {_show_tenants(faults)} are missing or do not open.", fix=_RESTORE)
    return ok(f"The keys of {show_count(len(tenants), 'tenant')} open.")


def _find_unopened(rows: Iterable[Any], keyring: RootKeys) -> set[UUID]:
    """The tenants with a key that does not open. Raises `KeyProviderAway`, which is nothing about any key."""
    faults = set()
    for row in rows:
        try:
            keyring.unwrap(bytes(row.wrapped), tenant=row.tenant_id, purpose=row.purpose, version=row.version)
        except KeyProviderAway:
            raise
        except (SealingError, Unavailable):
            faults.add(row.tenant_id)
    return faults


def check_login_key(reader: Reader) -> Finding:
    """The key of people's second factors opens: without it nobody logs in."""
    rows = reader.read("owner", "SELECT login_key FROM installation")
    stored = rows[0].login_key if rows else None
    try:
        LOGIN_KEY.unwrap(None if stored is None else bytes(stored))
    except ConfigurationError as error:
        return problem(str(error), fix="If there was one, restore it from a backup: see docs/keys.md.")
    except KeyProviderAway:
        return problem("The root key cannot be used.", fix="See what `key-files` says.")
    except (SealingError, Unavailable):
        return problem("The login key does not open: nobody can log in to the console.", fix=_RESTORE_LOGIN_KEY)
    return ok("The login key opens.")


def check_sealed_values(reader: Reader) -> Finding:
    """The newest sealed values look sealed, and the oldest unfinished jobs have their payloads."""
    tenants = [tenant.id for tenant in reader.read("dispatcher", "tenants", {"limit": TENANTS_LOOKED_AT})]
    heads = reader.read("worker", "sealed_heads", {"limit": VALUES_LOOKED_AT}, tenants=tenants)
    if bare := [row.id for row in heads if not is_sealed(bytes(row.head))]:
        return problem(
            f"{show_count(len(bare), 'value')} in table blob is not sealed, {bare[0]} among them.",
            fix="Find out what wrote it: only the service may write there.",
        )
    lost = reader.read("worker", "lost_payloads", {"limit": JOBS_LOOKED_AT}, tenants=tenants)
    if lost:
        return problem(
            f"{show_count(len(lost), 'unfinished job')} lost its payload, such as {show_id(JOB, lost[0].job_id)}.",
            fix="Restore table blob from a backup.",
        )
    return ok(f"{show_count(len(heads), 'value')} looked at, all sealed; unfinished jobs have their payloads.")


def _show_tenants(tenants: set[UUID]) -> str:
    return ", ".join(show_id(TENANT, tenant) for tenant in sorted(tenants)[:3]) + (
        " and others" if len(tenants) > 3 else ""
    )
