"""An acknowledgement that Redis did not get is a lost connection: the transport would wait for it for ever."""

from __future__ import annotations

from typing import Any

import pytest
from kombu import Connection, Consumer, Queue
from redis.exceptions import ConnectionError as RedisConnectionError

from workers.consumer_watch import WatchedAcks


class Acks:
    """As much of the transport's `QoS` as is used."""

    def __init__(self, failure: Exception | None) -> None:
        self.acked: list[str] = []
        self._failure = failure

    def ack(self, delivery_tag: str) -> None:
        if self._failure is not None:
            raise self._failure
        self.acked.append(delivery_tag)


def test_what_arrives_is_acknowledged_and_nothing_is_lost() -> None:
    qos: Any = Acks(None)
    watched = WatchedAcks(qos, (RedisConnectionError,))
    qos.ack("a")
    watched.look()
    assert qos.acked == ["a"]


def test_one_that_does_not_arrive_is_a_lost_connection_at_the_next_look() -> None:
    qos: Any = Acks(RedisConnectionError("away"))
    watched = WatchedAcks(qos, (RedisConnectionError,))
    with pytest.raises(RedisConnectionError):
        qos.ack("a")
    with pytest.raises(RedisConnectionError, match="away"):
        watched.look()


def test_a_fault_that_is_none_of_the_connection_stays_one() -> None:
    qos: Any = Acks(LookupError("a fault of ours"))
    watched = WatchedAcks(qos, (RedisConnectionError,))
    with pytest.raises(LookupError):
        qos.ack("a")
    watched.look()


def test_the_channel_of_a_consumer_acknowledges_through_its_qos(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the watch stands in for: a message's acknowledgement comes by there."""
    with Connection("memory://") as connection:
        channel: Any = connection.default_channel
        got: list[Any] = []
        with Consumer(channel, [Queue("acks")], on_message=got.append):
            watched = WatchedAcks(channel.qos, (RedisConnectionError,))
            connection.SimpleQueue("acks").put("x")
            connection.drain_events(timeout=5)
            monkeypatch.setattr(watched, "_ack", Acks(RedisConnectionError("away")).ack)
            with pytest.raises(RedisConnectionError):
                got[0].ack()
            with pytest.raises(RedisConnectionError):
                watched.look()
