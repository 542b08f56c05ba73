"""The wall between tenants: the roles are below it, every tenant's table is behind it, and nothing shows through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tenants.rls import RUNTIME_ROLES, role_name
from workers.doctor.finding import Finding, ok, problem
from workers.doctor.reader import CannotRead, Reader
from workers.supervisor.connections import OWNER, VARIABLES


def check_roles(reader: Reader) -> Finding:
    """Each role logs in, and is no more than it must be."""
    faults = []
    for role in (OWNER, *RUNTIME_ROLES):
        try:
            (row,) = reader.read(role, "role_rights", _expected_logins(reader, role))
        except CannotRead as error:
            faults.append(f"{error}, see {VARIABLES[role]} and connections.json")
            continue
        faults += judge_role(role, row)
    if faults:
        return problem(
            f"{'; '.join(faults)}.",
            fix="Start `manage.py up` or `manage.py prepare` with the owner's DATABASE_URL, or correct the addresses.",
        )
    return ok("owner, web, worker and dispatcher log in, and row-level security binds each.")


def judge_role(role: str, row: Any) -> list[str]:
    """What is wrong with the login of a role; none when it is bound by the wall and has its own role's grants only."""
    faults = []
    if row.is_unbound:
        faults.append(f"{row.login} ({role}) passes row-level security")
    if role != OWNER and row.is_owner:
        faults.append(f"{row.login} ({role}) owns tables")
    if role != OWNER and row.may_make_roles:
        faults.append(f"{row.login} ({role}) may make roles or databases")
    if role != OWNER and not row.has_own_role:
        faults.append(f"{row.login} ({role}) is not a member of the role of the {role}")
    if row.other_roles:
        faults.append(f"{row.login} ({role}) inherits {', '.join(row.other_roles)}")
    return faults


def _expected_logins(reader: Reader, role: str) -> dict[str, Any]:
    (row,) = reader.read(OWNER, "SELECT current_database()::text AS name")
    own = role_name(role, row.name) if role in RUNTIME_ROLES else None
    return {"own": own, "others": [role_name(other, row.name) for other in RUNTIME_ROLES if other != role]}


def check_policies(reader: Reader) -> Finding:
    faults = reader.read(OWNER, "unprotected_tables")
    return judge_policies([(row.table_name, row.fault) for row in faults])


def judge_policies(faults: Sequence[tuple[str, str]]) -> Finding:
    if faults:
        return problem(
            f"{', '.join(f'{table} ({fault})' for table, fault in faults)}.",
            fix="Run `manage.py migrate`; what it leaves was changed by hand: restore the policies of the migration.",
        )
    return ok("Every table of a tenant has forced row-level security and its policies.")


def check_wall(reader: Reader) -> Finding:
    """Without a tenant, web and worker see nothing of anybody."""
    seeing = [
        role for role in ("web", "worker") if reader.read(role, "SELECT EXISTS (SELECT FROM tenant) AS any")[0].any
    ]
    if seeing:
        return problem(
            f"{' and '.join(seeing)} sees rows without saying for which tenant.",
            fix="Stop the service; the policies or the roles were changed by hand.",
        )
    return ok("Without a tenant, web and worker see no row.")


def check_sealed_columns(reader: Reader) -> Finding:
    """The dispatcher, which holds no key, is not even given what is sealed."""
    rows = reader.read("dispatcher", "readable_sealed_columns")
    if rows:
        columns = ", ".join(f"{row.table_name}.{row.column_name}" for row in rows)
        return problem(f"The dispatcher may read {columns}.", fix="Revoke that grant: it was not made by a migration.")
    return ok("The dispatcher may read no sealed column.")
