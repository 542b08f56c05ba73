"""Stands in for `manage.py prepare`: the migrations make the roles, and one table of tenants. A fill never ends."""

import os
import secrets
import sys
import time
from pathlib import Path

import psycopg

from jobservice import env
from workers.supervisor.first_tenant import make_first_tenant
from workers.supervisor.provision import keep_logins

environment = env.load()


def migrate(connection: psycopg.Connection) -> None:
    for role in ("web", "worker", "dispatcher"):
        name = f"{connection.info.dbname}_{role}"
        if not connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [name]).rowcount:
            connection.execute(f"CREATE ROLE {name} NOLOGIN")
    connection.execute("CREATE TABLE IF NOT EXISTS tenant (name text)")


def make_tenant(connection: psycopg.Connection, name: str) -> str:
    connection.execute("INSERT INTO tenant VALUES (%s)", [name])
    return f"jsk_{secrets.token_hex(16)}"


def show_link(name: str, email: str) -> str:
    return f"http://localhost/console/invitation/{name}-{email}"


if sys.argv[1:] == ["fill_demo"]:
    print(f"fill pid {os.getpid()}", flush=True)
    time.sleep(300)
if sys.argv[1:] != ["prepare"]:
    sys.exit(f"{Path(__file__).name} stands in for no other command than prepare")
with psycopg.connect(environment.database_urls["owner"], autocommit=True) as connection:
    migrate(connection)
    if (environment.data_dir / "prepare.release").exists():
        sys.exit("the root key is another one")
    if "REFUSE_KEYS" in os.environ:
        print("the root key is another one", file=sys.stderr)
        sys.exit(int(os.environ["REFUSE_KEYS"]))
    if renewed := keep_logins(environment):
        print(f"new passwords for {', '.join(renewed)}")
    if not connection.execute("SELECT FROM tenant").rowcount:
        make_first_tenant(
            environment, make=lambda name: make_tenant(connection, name), invite=show_link, fills=environment.demo
        )
