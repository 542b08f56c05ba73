"""The same processes against a PostgreSQL and a broker that somebody else runs: RabbitMQ and Redis.

A broker named by TEST_RABBITMQ_URL or TEST_REDIS_URL is required; without them the usual local ports are tried.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.journeys.product import running
from tests.journeys.receiver import connected_receiver
from tests.journeys.test_kills import assert_all_ended_once, submit_mixture
from workers.supervisor.embedded_postgres import run_throwaway_postgres

USUAL = {
    "TEST_RABBITMQ_URL": "amqp://guest:guest@127.0.0.1:5672//",
    "TEST_REDIS_URL": "redis://127.0.0.1:6379/9",
}


def brokers() -> list[str]:
    """Those required by the environment, and those that answer on their usual port."""
    return [os.environ.get(name, usual) for name, usual in USUAL.items() if name in os.environ or answers(usual)]


def answers(url: str) -> bool:
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=2):
            return True
    except OSError:
        return False


@pytest.mark.parametrize("broker_url", brokers(), ids=lambda url: urlsplit(url).scheme)
def test_jobs_go_all_the_way_over_this_broker_though_a_worker_is_killed(tmp_path: Path, broker_url: str) -> None:
    with run_throwaway_postgres() as postgres:
        with psycopg.connect(postgres.superuser_url, autocommit=True) as connection:
            connection.execute("CREATE ROLE shop LOGIN CREATEROLE PASSWORD 'made-for-this-test'")
            connection.execute("CREATE DATABASE shop OWNER shop")
        owner_url = postgres.url(user="shop", password="made-for-this-test", database="shop")
        with running(tmp_path / "var", DATABASE_URL=owner_url, BROKER_URL=broker_url) as product:
            assert product.pids("postgres") == product.pids("valkey") == []
            with connected_receiver(product) as receiver:
                jobs = submit_mixture(product, receiver, 30)
                product.kill(product.await_pid("egress"))
                product.kill(product.await_pid("handlers"))
                jobs += submit_mixture(product, receiver, 30)
                assert_all_ended_once(product, receiver, jobs)
