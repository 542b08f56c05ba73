"""The broker loses everything while jobs are in flight: a message is a hint, so every job moves on and none is lost."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from kombu import Connection

from tests.chaos.nemesis import wipe_broker
from tests.chaos.orders import Order, mix_orders
from tests.chaos.site import LEASE_SECONDS, Site, running_site, until
from tests.chaos.sizes import IS_LONG
from tests.journeys.product import wait_until
from tests.journeys.test_brokers import brokers
from workers.supervisor.embedded_postgres import run_throwaway_postgres

JOBS, WIPES = (5_000, 10) if IS_LONG else (500, 3)
BULK = 50
MESSAGES, STOP_TRIES = 10, 5
MOVING_SECONDS = LEASE_SECONDS + 30.0
QUEUES = ("handlers", "egress")


@contextmanager
def site_over_rabbitmq(folder: Path, broker_url: str) -> Iterator[Site]:
    with run_throwaway_postgres() as postgres:
        with psycopg.connect(postgres.superuser_url, autocommit=True) as connection:
            connection.execute("CREATE ROLE shop LOGIN CREATEROLE PASSWORD 'made-for-this-test'")
            connection.execute("CREATE DATABASE shop OWNER shop")
        owner_url = postgres.url(user="shop", password="made-for-this-test", database="shop")
        database_url = urlsplit(postgres.superuser_url)._replace(path="/shop").geturl()
        with running_site(folder, database_url=database_url, DATABASE_URL=owner_url, BROKER_URL=broker_url) as site:
            # A throw-away server does without, which is right here and wrong anywhere else.
            site.accepted_complaints = {"durability"}
            yield site


def lose_messages(site: Site, wipe: Callable[[], None]) -> None:
    """Wipe the broker again and again: first with messages in it that nobody can have taken, then while jobs flow."""
    orders = mix_orders(random.Random(0), JOBS, callback_url=site.endpoint.url)
    bulks = [orders[place : place + BULK] for place in range(0, JOBS, BULK)]
    claimed = leave_messages_in_broker(site, bulks)
    wipe()
    signal_workers(site, signal.SIGCONT)
    assert_claims_move(site, claimed)
    for place, bulk in enumerate(bulks):
        site.driver.submit(bulk)
        if place < WIPES - 1:
            wipe()
    site.assert_nothing_is_lost()


def leave_messages_in_broker(site: Site, bulks: list[list[Order]]) -> set[tuple[object, int]]:
    """Claims of jobs whose messages wait in the broker, the workers being stopped."""
    for _ in range(STOP_TRIES):
        signal_workers(site, signal.SIGSTOP)
        site.driver.submit(bulks.pop())
        # Workers that have been silent for ten seconds get no messages any more.
        if until(lambda: site.count_jobs("dispatched") >= MESSAGES, seconds=7):
            return set(site.ask("SELECT job_id, epoch FROM job_live WHERE state = 'dispatched'"))
        signal_workers(site, signal.SIGCONT)
        site.wait_until_quiet()
    raise AssertionError(f"no messages wait in the broker: {site.product.log[-2000:]}")


def assert_claims_move(site: Site, claimed: set[tuple[object, int]]) -> None:
    """Each of these claims is over, or was taken back and handed out again."""

    def stuck() -> set[tuple[object, int]]:
        return claimed & set(site.ask("SELECT job_id, epoch FROM job_live WHERE state = 'dispatched'"))

    wait_until(lambda: not stuck(), seconds=MOVING_SECONDS, what="all jobs move", log=lambda: site.product.log)


def signal_workers(site: Site, number: int) -> None:
    for pid in (pid for name in QUEUES for pid in site.product.pids(name)):
        os.kill(pid, number)


def test_no_job_is_lost_when_valkey_forgets_everything(tmp_path: Path) -> None:
    with running_site(tmp_path) as site:
        lose_messages(site, lambda: wipe_broker(site))


@pytest.mark.parametrize("harm", ["purge", "delete"])
@pytest.mark.parametrize(
    "broker_url", [url for url in brokers() if url.startswith("amqp")], ids=lambda url: urlsplit(url).scheme
)
def test_no_job_is_lost_when_rabbitmq_forgets_its_queues(tmp_path: Path, broker_url: str, harm: str) -> None:
    with site_over_rabbitmq(tmp_path, broker_url) as site:
        lose_messages(site, lambda: harm_queues(broker_url, harm))


def harm_queues(broker_url: str, harm: str) -> None:
    with Connection(broker_url) as connection:
        for queue in QUEUES:
            channel: Any = connection.channel()
            if harm == "purge":
                channel.queue_purge(queue)
            else:
                channel.queue_delete(queue)
            channel.close()
