"""What a process must find true before it starts: its role cannot pass the wall, and its root key is the right one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NoReturn

from django.conf import settings
from django.db import Error, connection

from jobservice.crypto.root_key import fingerprint_version
from jobservice.database import give_back_connection
from jobservice.env import ConfigurationError
from jobservice.errors import KeyProviderAway, Unreadable
from jobservice.logs import log_event
from tenants.installation_keys import load_installation_keys
from tenants.models import Installation
from tenants.root_keys import is_root_key_of, root_key_provider, root_keyring


def check_boot() -> None:
    """Raise `ConfigurationError` when this process must not start: one sentence that says what is wrong and the fix."""
    try:
        check_role()
        if settings.ENVIRONMENT.process != "dispatcher":
            check_root_key()
        if settings.ENVIRONMENT.process == "web":
            _open_installation_keys()
    except Error as error:
        raise ConfigurationError(_database_sentence(error)) from None


def check_role() -> None:
    """A runtime process may be neither superuser nor free of row-level security, nor own the tables."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT r.rolname, r.rolsuper OR r.rolbypassrls, "
            "EXISTS (SELECT FROM pg_class c WHERE c.relowner = r.oid AND c.relkind IN ('r', 'p')) "
            "FROM pg_roles r WHERE r.rolname = current_user"
        )
        name, is_unbound, is_owner = cursor.fetchone()
        if is_unbound or (is_owner and settings.ENVIRONMENT.process != "owner"):
            raise ConfigurationError(
                f"The {settings.ENVIRONMENT.process} process connects as {name}, whom row-level security does not "
                "bind; give it the role that the first start made (see the README, Operate)."
            )
        cursor.execute(
            "SELECT string_agg(c.relname, ', ') FROM pg_class c "
            "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped "
            "WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = 'public'::regnamespace "
            "AND NOT (c.relrowsecurity AND c.relforcerowsecurity)"
        )
        (bare,) = cursor.fetchone()
    if bare:
        raise ConfigurationError(f"Row-level security is not forced on {bare}; run `manage.py migrate`.")


def check_root_key() -> None:
    """The root key must be there, and be the one that this database was made with."""
    try:
        root_keyring()  # first: without a usable root key the database has nothing to say
        stored = Installation.objects.values_list("root_key_fingerprint", flat=True).first()
        if stored is None:
            raise ConfigurationError("The database has no root key yet; run `manage.py create_keys` first.")
        refuse_wrong_root_key(stored)
    except KeyProviderAway as error:
        raise ConfigurationError(error.cause) from None


def _open_installation_keys() -> None:
    """Acts are written down, and people logged in, by web processes; the workers' role cannot read these keys."""
    try:
        load_installation_keys()
    except KeyProviderAway as error:
        raise ConfigurationError(error.cause) from None


def prepare_acts() -> None:
    """In a web process that has just begun: open the installation's keys before any act needs one, inside its
    transaction.

    Whether it can be opened was checked before; one that is out of reach by now is asked for by the first act.
    """
    try:
        load_installation_keys()
    except (ConfigurationError, KeyProviderAway, Error) as error:
        log_event("audit_key_out_of_reach", level="warning", error_class=type(error).__name__)
    finally:
        give_back_connection()


def refuse_wrong_root_key(fingerprint: str) -> None:
    """Raise `ConfigurationError` unless the provider has the root key that the database names."""
    if is_root_key_of(fingerprint):
        return
    version = fingerprint_version(fingerprint)
    is_older = version > root_keyring().current_version
    provider = root_key_provider()
    raise ConfigurationError(provider.tell_older(version) if is_older else provider.tell_other())


def exit_on_fault(check: Callable[[], None] = check_boot) -> None:
    """Run a check where nobody catches its error: print the sentence and end with exit code 2."""
    try:
        check()
    except (ConfigurationError, Unreadable) as error:
        _exit(str(error))


def _exit(sentence: str) -> NoReturn:
    sys.stderr.write(f"{sentence}\n")
    raise SystemExit(2)


def _database_sentence(error: Error) -> str:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return f"DATABASE_URL: the database cannot be used ({reason}); is it running and migrated?"
