"""Stands in for the operator's commands: the migrations make the roles, and one table of tenants."""

import os
import sys
from pathlib import Path

command, data_dir = sys.argv[1], Path(os.environ["JOBSERVICE_DATA_DIR"])
if command == "create_keys":
    sys.exit("the root key is another one" if "REFUSE_KEYS" in os.environ else 0)
if command == "migrate" and (data_dir / "migrated").exists():
    print("migrated before")
    sys.exit()

import json  # noqa: E402
import secrets  # noqa: E402

import psycopg  # noqa: E402

url = os.environ.get("DATABASE_URL") or json.loads((data_dir / "connections.json").read_text())["owner"]
with psycopg.connect(url, autocommit=True) as connection:
    if command == "migrate":
        for role in ("web", "worker", "dispatcher"):
            name = f"{connection.info.dbname}_{role}"
            if not connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [name]).rowcount:
                connection.execute(f"CREATE ROLE {name} NOLOGIN")
        connection.execute("CREATE TABLE IF NOT EXISTS tenant (name text)")
        (data_dir / "migrated").touch()
    if command == "create_tenant":
        connection.execute("INSERT INTO tenant VALUES (%s)", [sys.argv[2]])
        print(json.dumps({"tenant": "tnt_1", "name": sys.argv[2], "api_key": f"jsk_{secrets.token_hex(16)}"}))
