"""A rotation of keys visits every sealed column: one that it is not told of fails here, read from the catalogue."""

from __future__ import annotations

import pytest
from django.db import connection

from jobservice.jobs.sealed_columns import SEALED_COLUMNS

pytestmark = pytest.mark.django_db

# Bytes that are not sealed under a tenant's key; a new column must be named here, and why.
NOT_SEALED = {
    ("data_key", "wrapped"): "sealed under the root key, which rotates by itself",
    ("installation", "audit_key"): "sealed under the root key, of no tenant",
    ("installation", "login_key"): "sealed under the root key, of no tenant",
    ("account", "reset_hash"): "a hash",
    ("api_key", "secret_hash"): "a hash",
    ("api_key", "previous_secret_hash"): "a hash",
    ("member", "invitation_hash"): "a hash",
    ("job", "unique_hash"): "a hash under the index key, which does not rotate",
    ("job", "concurrency_hash"): "a hash under the index key",
    ("job_live", "concurrency_hash"): "a hash under the index key",
    ("unique_claim", "hash"): "a hash under the index key",
    ("idempotency_key", "hash"): "a hash under the index key",
    ("idempotency_key", "fingerprint"): "a hash",
    ("audit_head", "hash"): "a hash",
    ("audit_head", "signature"): "an HMAC under the audit key",
    ("audit_event", "hash"): "a hash",
}


def byte_columns() -> set[tuple[str, str]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
            "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition "
            "AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid = 'bytea'::regtype"
        )
        return set(cursor.fetchall())


def test_every_column_of_bytes_is_visited_by_a_rotation_or_named_as_not_sealed() -> None:
    visited = {(sealed.table, sealed.column) for sealed in SEALED_COLUMNS}
    assert byte_columns() - set(NOT_SEALED) == visited


def test_a_new_sealed_column_would_be_found() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE queue ADD COLUMN secret_sealed bytea")
    assert ("queue", "secret_sealed") in byte_columns()
