"""A worker consumes again by itself, whatever RabbitMQ did to its queue, its channel or its connection.

That a connection which freezes is replaced is in tests/journeys/test_broker_connections.py, because it takes its time.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.proxy import proxying_broker
from tests.journeys.broker.noting import noting_worker
from tests.journeys.test_brokers import brokers

DELETIONS = 2
over_rabbitmq = pytest.mark.parametrize(
    "broker_url", [url for url in brokers() if url.startswith("amqp")], ids=lambda _url: "rabbitmq"
)
in_each_pool = pytest.mark.parametrize("pool", ["handlers", "egress"])


@over_rabbitmq
@pytest.mark.parametrize(
    ("pool", "harm"),
    [
        ("handlers", "delete_queue"),
        ("egress", "delete_queue"),
        ("egress", "delete_queue_unheard"),
        ("egress", "close_channel"),
        ("egress", "close_connection"),
    ],
)
def test_what_celery_swallows_as_it_begins_to_consume_is_found(
    tmp_path: Path, broker_url: str, pool: str, harm: str
) -> None:
    with noting_worker(tmp_path, broker_url, pool, harm=harm) as worker:
        worker.wait_until(lambda: worker.losses == 1, what="the worker connects anew")
        worker.wait_until(lambda: worker.consumers() == 1, what="a consumer again")
        worker.send("after")
        worker.wait_for_notes("after")
        assert worker.losses == 1


@over_rabbitmq
@in_each_pool
def test_what_runs_goes_on_while_its_queue_is_deleted_again_and_again(
    tmp_path: Path, broker_url: str, pool: str
) -> None:
    with noting_worker(tmp_path, broker_url, pool) as worker:
        worker.send("slow", seconds=4)
        for _ in range(DELETIONS):
            worker.wait_until(worker.consumers, what="a consumer")
            worker.delete_queue()
        worker.wait_until(worker.consumers, what="a consumer in the end")
        worker.send("after")
        worker.wait_for_notes("slow", "after")
        assert worker.notes.count("slow") == 1
        # Celery's word of what it will do one day is not for the operator.
        assert "CPendingDeprecationWarning" not in worker.log


@over_rabbitmq
def test_a_connection_cut_in_the_middle_of_work_is_lost_once(tmp_path: Path, broker_url: str) -> None:
    texts = [str(number) for number in range(60)]
    with proxying_broker(broker_url) as (proxy, by), noting_worker(tmp_path, broker_url, "egress", by=by) as worker:
        worker.send(*texts, seconds=0.1)
        worker.wait_until(lambda: "0" in worker.notes, what="work begins")
        proxy.cut(1.0, choose=lambda: 0.0)
        worker.wait_for_notes(*texts)
        assert (worker.losses, proxy.accepted) == (1, 2)


@over_rabbitmq
@in_each_pool
def test_heartbeats_keep_a_connection_whose_worker_has_nothing_to_say(
    tmp_path: Path, broker_url: str, pool: str
) -> None:
    with (
        proxying_broker(broker_url) as (proxy, by),
        # RabbitMQ hangs up after three seconds of silence at the latest, which is before the first look.
        noting_worker(tmp_path, broker_url, pool, by=by, heartbeat_seconds=1) as worker,
    ):
        worker.send("slow", seconds=8)
        worker.wait_for_notes("slow")
        assert (worker.losses, proxy.accepted) == (0, 1)
