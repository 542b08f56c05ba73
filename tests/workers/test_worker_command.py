"""`manage.py worker`: wrong words and wrong settings end it with a sentence, before Celery starts."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connections

from jobservice.celery import app
from jobservice.env import BASE_DIR, ConfigurationError
from workers.consumer_watch import WatchConsumer
from workers.management.commands import worker as command

pytestmark = pytest.mark.deep


def test_a_wrong_word_exits_2_and_shows_the_usage() -> None:
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", str(Path(BASE_DIR) / "manage.py"), "worker", "solo"],
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ),
    )
    assert ended.returncode == 2
    assert "usage: manage.py worker" in ended.stderr


@pytest.mark.parametrize("words", [[], ["solo"], ["handlers", "egress"], ["handlers", "--pool=solo"]])
def test_no_pool_but_the_two_can_be_asked_for(words: list[str]) -> None:
    with pytest.raises(CommandError):
        command.Command().create_parser("manage.py", "worker").parse_args(words)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What Celery would be started with, in a process whose settings and database are in order."""
    arguments: list[list[str]] = []
    monkeypatch.setattr(app, "worker_main", arguments.append)
    for name in ("check_boot", "take_messages", "load_handlers"):
        monkeypatch.setattr(command, name, lambda *_, **__: None)
    monkeypatch.setattr(connections, "close_all", lambda: None)
    monkeypatch.setattr(
        settings, "ENVIRONMENT", replace(settings.ENVIRONMENT, broker_url="redis://localhost", handler_processes=3)
    )
    return arguments


def test_handlers_run_in_a_prefork_pool_of_the_size_the_settings_say(
    started: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.handler_pool.HandlerPool.connect", lambda self: None)
    call_command("worker", "handlers")
    (arguments,) = started
    assert _option(arguments, "-P") == "prefork"
    assert (_option(arguments, "-c"), _option(arguments, "-Q"), _option(arguments, "-O")) == ("3", "handlers", "fair")
    assert {"--without-gossip", "--without-mingle", "--without-heartbeat"} <= set(arguments)


def test_egress_runs_in_threads(started: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.egress_pool.install", lambda: None)
    call_command("worker", "egress")
    (arguments,) = started
    assert (_option(arguments, "-P"), _option(arguments, "-Q")) == ("threads", "egress")


@pytest.mark.parametrize("pool", ["handler_pool.HandlerPool.connect", "egress_pool.install"])
def test_each_kind_of_worker_has_its_consumer_watched(
    started: list[list[str]], monkeypatch: pytest.MonkeyPatch, pool: str
) -> None:
    monkeypatch.setattr(f"workers.{pool}", lambda *_: None)
    monkeypatch.setattr(app, "steps", {"consumer": set(), "worker": set()})
    call_command("worker", "handlers" if pool.startswith("handler") else "egress")
    assert app.steps["consumer"] == {WatchConsumer}


@pytest.mark.parametrize("check", ["check_boot", "load_handlers", "message_key"])
def test_a_failed_check_stops_the_start(started: list[list[str]], monkeypatch: pytest.MonkeyPatch, check: str) -> None:
    def refuse(*_: Any) -> None:
        raise ConfigurationError("a sentence")

    monkeypatch.setattr(command, check, refuse)
    with pytest.raises(ConfigurationError):
        call_command("worker", "handlers")
    assert started == []


def test_a_worker_without_a_broker_says_so(started: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "ENVIRONMENT", replace(settings.ENVIRONMENT, broker_url=""))
    with pytest.raises(ConfigurationError, match="BROKER_URL"):
        call_command("worker", "handlers")
    assert started == []


def _option(arguments: list[str], name: str) -> str:
    return arguments[arguments.index(name) + 1]
