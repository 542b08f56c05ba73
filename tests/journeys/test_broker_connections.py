"""The connections to a broker on TCP: kept alive while nothing happens, replaced when they freeze."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from jobservice.celery import app
from tests.chaos.proxy import proxying_broker
from tests.journeys.product import running, wait_until
from tests.journeys.receiver import connected_receiver
from tests.journeys.test_brokers import brokers
from tests.journeys.test_kills import assert_all_ended_once, submit_mixture

WORKERS = 2
# What the workers need to notice, and a broker to hand out again what it gave to those who were cut off.
RECOVERY_SECONDS = 60.0


def idle_seconds(broker_url: str) -> float:
    """RabbitMQ hangs up on a client that was silent for three heartbeats; Redis is asked each second."""
    return 3.5 * float(app.conf.broker_heartbeat) if broker_url.startswith("amqp") else 5.0


@pytest.mark.parametrize("broker_url", brokers(), ids=lambda url: urlsplit(url).scheme)
def test_an_idle_connection_lives_and_a_frozen_one_is_replaced(tmp_path: Path, broker_url: str) -> None:
    with (
        proxying_broker(broker_url) as (proxy, by),
        running(tmp_path / "var", BROKER_URL=by) as product,
        connected_receiver(product) as receiver,
    ):
        jobs = submit_mixture(product, receiver, 10)
        assert_all_ended_once(product, receiver, jobs)
        accepted = proxy.accepted
        time.sleep(idle_seconds(broker_url))
        assert proxy.accepted == accepted
        assert "broker lost" not in product.log
        pids = product.await_pid("handlers"), product.await_pid("egress")
        proxy.freeze()
        wait_until(
            lambda: proxy.accepted >= accepted + WORKERS,
            seconds=RECOVERY_SECONDS,
            what="the workers connect anew",
            log=lambda: product.log,
        )
        jobs += submit_mixture(product, receiver, 10)
        product.wait_for_end(jobs, seconds=RECOVERY_SECONDS)
        assert_all_ended_once(product, receiver, jobs)
        assert (product.await_pid("handlers"), product.await_pid("egress")) == pids
