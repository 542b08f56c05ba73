"""Starts a throw-away cluster and prints what a test wants to know about it, as one line of JSON."""

import json
import os
from pathlib import Path

import psycopg

from workers.supervisor.embedded_postgres import run_throwaway_postgres

with run_throwaway_postgres() as postgres:
    url = postgres.superuser_url
    with psycopg.connect(url, autocommit=True) as connection:
        query = """
            SELECT pg_encoding_to_char(encoding), datlocprovider, datlocale, current_setting('listen_addresses')
            FROM pg_database WHERE datname = current_database()
        """
        locale = connection.execute(query).fetchone()
        backend_uid = Path(f"/proc/{connection.info.backend_pid}").stat().st_uid
    try:
        psycopg.connect(postgres.url(user="postgres", password="wrong", database="postgres"))
        refusal = ""
    except psycopg.OperationalError as error:
        refusal = str(error)
    modes = [oct(path.stat().st_mode & 0o777) for path in (postgres.cluster_dir, postgres.socket_dir)]
    left = {"data": str(postgres.data_dir), "sockets": str(postgres.socket_dir)}
print(
    json.dumps(
        {
            "locale": locale,
            "backend_uid": backend_uid,
            "own_uid": os.geteuid(),
            "refusal": refusal,
            "modes": modes,
            "left": [path for path in left.values() if Path(path).exists()],
        }
    )
)
