"""Functions that run as the owner: nobody who may call one decides what its names stand for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.db import ProgrammingError, connection, transaction

from jobservice.ids import new_id
from tenants.models import Account
from tests.factories import Tenant
from tests.roles import as_role

pytestmark = pytest.mark.django_db

SQL = Path(__file__).resolve().parents[2] / "tenants" / "sql"
SAFE_PATH = "search_path=pg_catalog, public, pg_temp"


def query(text: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(text)
        return cursor.fetchall() if cursor.description else []


def definer_functions() -> dict[str, tuple[list[str], bool]]:
    """What each sets, and whether everybody may call it."""
    rows = query(
        """
        SELECT p.oid::regprocedure::text, coalesce(p.proconfig, '{}'),
               EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0)
        FROM pg_proc p
        WHERE p.prosecdef AND p.pronamespace = 'public'::regnamespace
        """
    )
    return {name: (list(config), is_public) for name, config, is_public in rows}


def test_every_function_that_runs_as_the_owner_looks_among_temporary_objects_last() -> None:
    functions = definer_functions()
    assert {"read_standing(uuid)", "find_invitation(bytea)", "make_partitions(integer)"} <= set(functions)
    assert {name: config for name, (config, _) in functions.items() if SAFE_PATH not in config} == {}


def test_none_of_them_may_be_called_by_everybody() -> None:
    assert [name for name, (_, is_public) in definer_functions().items() if is_public] == []


@pytest.mark.parametrize("role", ["web", "worker", "dispatcher"])
def test_no_runtime_role_makes_temporary_objects(role: str) -> None:
    with as_role(role), pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        query("CREATE TEMP TABLE planted (id uuid)")


NOBODY = "00000000-0000-0000-0000-000000000000"


PLANTED_ACCOUNT = f"account AS SELECT '{NOBODY}'::uuid AS id, current_user::text AS email, true AS is_staff"
PLANTED_SESSION = (
    "login_session AS SELECT id AS account_id, encode(sha256('x'), 'hex') AS key_hash, login_epoch, "
    "'infinity'::timestamptz AS expires_at FROM public.account"
)
PLANTED_MEMBER = (
    "member AS SELECT '{tenant}'::uuid AS id, '{tenant}'::uuid AS tenant_id, current_user::text AS email, "
    "'owner' AS role, 'x'::bytea AS invitation_hash, 'invited' AS status, "
    "'infinity'::timestamptz AS invitation_expires_at"
)


@pytest.mark.parametrize(
    ("planted", "call"),
    [
        (PLANTED_ACCOUNT, f"SELECT email FROM read_standing('{NOBODY}')"),
        (PLANTED_SESSION, "SELECT 1 WHERE acting_operator('x') IS NOT NULL"),
        (PLANTED_MEMBER, "SELECT email FROM find_invitation('x')"),
    ],
)
def test_a_view_of_the_same_name_that_the_web_plants_is_not_read(tenant: Tenant, planted: str, call: str) -> None:
    """Even where the web could make one, which it cannot."""
    operator = Account.objects.create(id=new_id(), email="op@example.com", password="!", is_staff=True)
    Authenticator.objects.create(user_id=operator.id, type="totp", data={})
    query("DO $$ BEGIN EXECUTE format('GRANT TEMP ON DATABASE %I TO PUBLIC', current_database()); END $$")
    with as_role("web"):
        query(f"CREATE TEMP VIEW {planted.format(tenant=tenant.id)}")
        assert query(call) == []


def test_an_owner_that_does_not_own_the_database_can_still_migrate() -> None:
    """It cannot take the right to make temporary objects from everybody: then the paths alone have to hold."""
    block = (SQL / "safe_paths.sql").read_text().partition("END $$;")[0] + "END $$;"
    query("DO $$ BEGIN EXECUTE format('GRANT TEMP ON DATABASE %I TO PUBLIC', current_database()); END $$")
    query("CREATE ROLE owner_of_nothing NOSUPERUSER")
    query("SET LOCAL ROLE owner_of_nothing")
    query(block)
    query("CREATE TEMP TABLE still_granted (id uuid)")
