"""Removes what tests have really committed."""

from __future__ import annotations

from django.db import connection

_KEPT = ("django_migrations", "installation", "pool")
# What guards the audit log; only a superuser can lift it.
_GUARDS = (
    ("audit_event", "audit_event_is_kept"),
    ("audit_head", "audit_head_is_kept"),
)


def remove_committed_rows() -> None:
    """Every row of a tenant, of the operator's plans and of workers."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT string_agg(quote_ident(c.relname), ', ') FROM pg_class c "
            "WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = 'public'::regnamespace "
            "AND NOT c.relname = ANY (%s)",
            [list(_KEPT)],
        )
        (tables,) = cursor.fetchone()
        for table, guard in _GUARDS:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {guard}")
        cursor.execute(f"TRUNCATE {tables}")
        for table, guard in _GUARDS:
            cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {guard}")
