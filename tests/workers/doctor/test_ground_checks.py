"""What doctor says of the ground: server, schema, roles and policies, keys and sealed values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from tenants.rls import role_name
from tests.factories import Tenant, make_job
from tests.workers.doctor.reading import find, write
from workers.doctor.keys import judge_private_files
from workers.doctor.schema import judge_migrations, judge_partitions
from workers.doctor.server import judge_clock, judge_durability, judge_oldest_transaction, judge_version
from workers.doctor.wall import judge_role

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
CHECKS = (
    "database-version",
    "clock",
    "oldest-transaction",
    "migrations",
    "partitions",
    "default-partitions",
    "row-level-security",
    "wall",
    "sealed-columns",
    "key-files",
    "private-files",
    "tenant-keys",
    "sealed-values",
    "login-key",
)


def quoted_role(role: str) -> str:
    return connection.ops.quote_name(role_name(role, connection.settings_dict["NAME"]))


@pytest.mark.django_db
def test_a_migrated_database_with_a_tenant_is_sound(tenant: Tenant, other_tenant: Tenant) -> None:
    make_job(tenant)
    make_job(other_tenant)
    assert {name: find(name).status for name in CHECKS} == dict.fromkeys(CHECKS, "ok")


@pytest.mark.parametrize(("number", "status"), [(140_012, "problem"), (150_000, "ok"), (180_006, "ok")])
def test_an_old_server_is_a_problem(number: int, status: str) -> None:
    assert judge_version(number).status == status


@pytest.mark.parametrize(("seconds", "status"), [(0.5, "ok"), (3.0, "warning"), (3600.0, "problem")])
def test_clocks_that_differ_are_found(seconds: float, status: str) -> None:
    assert judge_clock(seconds).status == status


def test_a_server_that_loses_commits_is_found() -> None:
    settings = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "local"}
    assert judge_durability(settings).status == "ok"
    finding = judge_durability({**settings, "synchronous_commit": "off"})
    assert (finding.status, "synchronous_commit is off" in finding.detail) == ("problem", True)


def test_an_old_transaction_is_found() -> None:
    assert judge_oldest_transaction([]).status == "ok"
    assert judge_oldest_transaction([("a", 59.0), ("b", 1.0)]).status == "ok"
    assert judge_oldest_transaction([("a", 1.0), ("b", 61.0)]).status == "warning"
    finding = judge_oldest_transaction([("a", 3600.0), ("b", 61.0)])
    assert (finding.status, "(a) is 60 min old" in finding.detail) == ("problem", True)


def test_migrations_to_come_and_of_a_newer_version_are_found() -> None:
    known = {("jobs", "0001_initial"), ("jobs", "0002_more")}
    assert judge_migrations(known=known, applied=known | {("sessions", "0001_initial")}).status == "ok"
    behind = judge_migrations(known=known, applied={("jobs", "0001_initial")})
    assert (behind.status, "jobs.0002_more" in behind.detail) == ("problem", True)
    ahead = judge_migrations(known=known, applied=known | {("jobs", "0003_new")})
    assert (ahead.status, "jobs.0003_new" in ahead.detail) == ("warning", True)


def bound(first: datetime, last: datetime) -> str:
    lowest = [str(UUID(int=int(moment.timestamp() * 1000) << 80)) for moment in (first, last)]
    return f"FOR VALUES FROM ('{lowest[0]}') TO ('{lowest[1]}')"


def weeks(*numbers: int) -> list[str]:
    monday = NOW - timedelta(days=1)
    return ["DEFAULT", *(bound(monday + timedelta(weeks=n), monday + timedelta(weeks=n + 1)) for n in numbers)]


def test_partitions_that_end_soon_or_have_a_gap_are_found() -> None:
    assert judge_partitions({"job": weeks(0, 1, 2, 3)}, now=NOW).status == "ok"
    short = judge_partitions({"job": weeks(0, 1, 2, 3), "event": weeks(0, 1)}, now=NOW)
    assert (short.status, "13 days ahead, those of event" in short.detail) == ("warning", True)
    assert judge_partitions({"job": weeks(-1)}, now=NOW).status == "problem"
    assert judge_partitions({"job": weeks(2, 3)}, now=NOW).status == "problem"
    assert judge_partitions({"job": weeks(0, 2, 3)}, now=NOW).detail.startswith("Partitions reach 6 days")


@pytest.mark.django_db
def test_a_table_without_a_partition_for_now_is_found() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
            "WHERE i.inhparent = 'attempt'::regclass AND c.relname NOT LIKE '%default'"
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f"DROP TABLE {name}")
    assert find("partitions").detail == "Partitions reach 0 days ahead, those of attempt the least."


@pytest.mark.django_db
def test_a_row_in_a_default_partition_is_found(tenant: Tenant) -> None:
    write(
        "INSERT INTO job_tag (tenant_id, job_id, name, value) VALUES (%(tenant)s, gen_random_uuid(), 'a', 'b')",
        tenant=tenant.id,
    )
    assert find("default-partitions").detail == "Rows lie in job_tag_default."


RIGHTS: dict[str, Any] = {
    "login": "jobs_web",
    "is_unbound": False,
    "may_make_roles": False,
    "is_owner": False,
    "has_own_role": True,
    "other_roles": [],
}


@pytest.mark.parametrize(
    ("rights", "sentence"),
    [
        ({"is_unbound": True}, "passes row-level security"),
        ({"is_owner": True}, "owns tables"),
        ({"may_make_roles": True}, "may make roles"),
        ({"has_own_role": False}, "is not a member of the role of the web"),
        ({"other_roles": ["jobs_dispatcher"]}, "inherits jobs_dispatcher"),
    ],
)
def test_a_role_that_may_too_much_is_found(rights: dict[str, Any], sentence: str) -> None:
    assert judge_role("web", SimpleNamespace(**RIGHTS)) == []
    (fault,) = judge_role("web", SimpleNamespace(**RIGHTS | rights))
    assert sentence in fault


def test_the_owner_may_own_and_make_roles_but_inherits_none() -> None:
    rights = RIGHTS | {"may_make_roles": True, "is_owner": True, "has_own_role": False}
    assert judge_role("owner", SimpleNamespace(**rights)) == []
    assert judge_role("owner", SimpleNamespace(**rights | {"other_roles": ["jobs_web"]})) != []


@pytest.mark.django_db
def test_the_roles_of_a_real_database_are_read_as_they_are() -> None:
    finding = find("roles")
    # A superuser runs the tests; the three runtime roles beside it are sound.
    assert finding.status == "problem"
    assert finding.detail.count("passes row-level security") == finding.detail.count("(") == 1
    write(f"GRANT {quoted_role('dispatcher')} TO {quoted_role('web')}")
    assert f"(web) inherits {role_name('dispatcher', connection.settings_dict['NAME'])}" in find("roles").detail


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("CREATE TABLE forgotten (id uuid, tenant_id uuid)", "forgotten (row-level security is off)"),
        ("ALTER TABLE job NO FORCE ROW LEVEL SECURITY", "job (not forced on its owner)"),
        ("ALTER TABLE tenant DISABLE ROW LEVEL SECURITY", "tenant (row-level security is off)"),
        ("DROP POLICY one_tenant_only ON data_key; DROP POLICY message_tenants_only ON data_key", "data_key (no rest"),
    ],
)
def test_a_table_outside_the_wall_is_found(change: str, fault: str) -> None:
    write(change)
    assert find("row-level-security").status == "problem"
    assert fault in find("row-level-security").detail


@pytest.mark.django_db
def test_a_partition_open_past_its_parent_is_found() -> None:
    write(f"GRANT SELECT ON job_default TO {quoted_role('web')}")
    assert "job_default (a partition that" in find("row-level-security").detail


@pytest.mark.django_db
def test_a_hole_in_the_wall_is_found(tenant: Tenant) -> None:
    write("DROP POLICY one_tenant_only ON tenant")
    write(f"CREATE POLICY hole ON tenant TO {quoted_role('web')} USING (true)")
    assert find("wall").detail.startswith("web sees rows")


@pytest.mark.django_db
def test_a_sealed_column_shown_to_the_dispatcher_is_found() -> None:
    write(f"GRANT SELECT (wrapped) ON data_key TO {quoted_role('dispatcher')}")
    assert find("sealed-columns").detail == "The dispatcher may read data_key.wrapped."


@pytest.mark.django_db
def test_another_root_key_and_none_are_found() -> None:
    write("UPDATE installation SET root_key_fingerprint = '1:' || repeat('0', 64)")
    assert "is not the root key of this database" in find("key-files").detail
    write("DELETE FROM installation")
    assert "no root key yet" in find("key-files").detail


@pytest.mark.django_db
def test_a_tenants_key_that_is_gone_or_altered_is_found(tenant: Tenant, other_tenant: Tenant) -> None:
    write("DELETE FROM data_key WHERE tenant_id = %(id)s AND purpose = 'index'", id=tenant.id)
    detail = find("tenant-keys").detail
    assert (detail.count("tnt_"), find("tenant-keys").status) == (1, "problem")
    write("UPDATE data_key SET wrapped = wrapped || 'x' WHERE tenant_id = %(id)s", id=other_tenant.id)
    assert find("tenant-keys").detail.count("tnt_") == 2


@pytest.mark.django_db
def test_a_value_that_is_not_sealed_is_found(tenant: Tenant) -> None:
    make_job(tenant)
    write("UPDATE blob SET sealed = convert_to(repeat('plain', 20), 'UTF8')")
    assert "1 value in table blob is not sealed" in find("sealed-values").detail


@pytest.mark.django_db
def test_a_payload_that_is_gone_is_found(tenant: Tenant) -> None:
    job = make_job(tenant)
    write("DELETE FROM blob")
    assert find("sealed-values").detail == f"1 unfinished job lost its payload, such as {job['id']}."


def test_files_open_to_others_are_found(tmp_path: Path) -> None:
    secret = tmp_path / "connections.json"
    assert judge_private_files(tmp_path / "none", [secret]).status == "ok"
    secret.touch(mode=0o600)
    assert judge_private_files(tmp_path, [secret, tmp_path / "missing"]).status == "ok"
    secret.chmod(0o640)
    assert f"Others may read {secret}" in judge_private_files(tmp_path, [secret]).detail
    secret.chmod(0o600)
    tmp_path.chmod(0o777)
    assert f"Anybody may replace files of {tmp_path}" in judge_private_files(tmp_path, [secret]).detail
