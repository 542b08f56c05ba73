"""All checks, in the order in which a person would look: the ground first, then the processes, then the jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import psycopg
from django.db import Error

from workers.doctor import audit, deliveries, ends, fleet, keys, queue, schema, server, wall
from workers.doctor.finding import Finding, problem, warning
from workers.doctor.reader import CannotRead, Reader

Check = Callable[[Reader], Finding]

CHECKS: Mapping[str, Check] = {
    "database-version": server.check_version,
    "clock": server.check_clock,
    "durability": server.check_durability,
    "oldest-transaction": server.check_oldest_transaction,
    "migrations": schema.check_migrations,
    "partitions": schema.check_partitions,
    "default-partitions": schema.check_default_partitions,
    "roles": wall.check_roles,
    "row-level-security": wall.check_policies,
    "wall": wall.check_wall,
    "sealed-columns": wall.check_sealed_columns,
    "key-files": keys.check_key_files,
    "private-files": keys.check_private_files,
    "tenant-keys": keys.check_tenant_keys,
    "sealed-values": keys.check_sealed_values,
    "login-key": keys.check_login_key,
    "audit-log": audit.check_audit_log,
    "broker": fleet.check_broker_answers,
    "dispatcher": fleet.check_dispatcher,
    "workers": fleet.check_workers,
    "leases": queue.check_leases,
    "time-limits": queue.check_time_limits,
    "deadlines-and-cancels": queue.check_wishes,
    "due-jobs": queue.check_due_jobs,
    "lanes": queue.check_lanes,
    "limits": queue.check_limits,
    "waiting": queue.check_waiting,
    "live-jobs": ends.check_live_jobs,
    "unfinished-jobs": ends.check_unfinished_jobs,
    "terminal-events": ends.check_terminal_events,
    "attempts": ends.check_attempts,
    "unique-keys": ends.check_unique_keys,
    "quotas": ends.check_quotas,
    "event-deliveries": deliveries.check_event_deliveries,
    "live-deliveries": deliveries.check_live_deliveries,
}


def examine(reader: Reader, checks: Mapping[str, Check] = CHECKS) -> dict[str, Finding]:
    """Carry out the checks; what each found, by its name. One that cannot be carried out is a finding too."""
    return {name: _carry_out(check, reader) for name, check in checks.items()}


def _carry_out(check: Check, reader: Reader) -> Finding:
    try:
        return check(reader)
    except CannotRead as error:
        # Silence would pass for health.
        return problem(f"Not looked at: {error}.", fix="See what `roles` says.")
    except (Error, psycopg.Error) as error:
        cause = error.__cause__ if isinstance(error.__cause__, psycopg.Error) else error
        if isinstance(cause, psycopg.errors.QueryCanceled):
            return warning(
                "Not looked at: the database took too long to answer.", fix="Try again when it is less busy."
            )
        return problem(f"Cannot be looked at ({type(cause).__name__}).", fix="See what `migrations` and `roles` say.")
