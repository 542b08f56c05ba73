"""How long a child waits before it starts again, and what the log shows of it."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path

import pytest

from tests.workers.supervisor.running import PATIENCE_SECONDS
from workers.supervisor import logs
from workers.supervisor.children import decide_backoff
from workers.supervisor.embedded_valkey import EmbeddedValkey
from workers.supervisor.logs import LogStream


@pytest.mark.parametrize(
    ("failures", "seconds"), [(1, 0), (2, 1), (3, 2), (4, 4), (5, 8), (6, 16), (7, 30), (8, 30), (10_000, 30)]
)
def test_the_first_restart_is_at_once_and_then_waits_double_up_to_half_a_minute(failures: int, seconds: float) -> None:
    assert decide_backoff(failures) == seconds


@pytest.mark.parametrize(("failures", "seconds"), [(1, 0), (2, 0.5), (3, 0.5), (10_000, 0.5)])
def test_the_longest_wait_before_a_restart_can_be_set(failures: int, seconds: float) -> None:
    assert decide_backoff(failures, longest_seconds=0.5) == seconds


def test_lines_carry_the_name_and_broken_text_stays_readable() -> None:
    stream = io.BytesIO()
    log = LogStream(stream, width=4)
    reader, writer = os.pipe()
    os.write(writer, b"one\r\n\xfftwo\nlast without an end")
    os.close(writer)
    log.follow("web", os.fdopen(reader, "rb")).join(PATIENCE_SECONDS)
    assert stream.getvalue() == b"web  | one\nweb  | \xfftwo\nweb  | last without an end\n"


def test_a_reader_that_went_away_does_not_stop_the_children() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    child_reader, child_writer = os.pipe()
    with os.fdopen(writer, "wb", buffering=0) as stream:
        log = LogStream(stream)
        log.write("web", "nobody reads this")
        os.write(child_writer, b"drained\n")
        os.close(child_writer)
        log.follow("web", os.fdopen(child_reader, "rb")).join(PATIENCE_SECONDS)
    with pytest.raises(OSError):
        os.fstat(child_reader)


def test_a_reader_that_stands_still_costs_lines_and_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "PATIENCE_SECONDS", 0.05)
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb") as stream:
        try:
            log = LogStream(stream)
            # More than a pipe holds.
            child = threading.Thread(target=log.write, args=("web", "\n".join(["x" * 1000] * 200)), daemon=True)
            child.start()
            child.join(10)
            assert not child.is_alive()
            written = os.read(reader, 1024**2)
            log.write("web", "read again")
            told = os.read(reader, 1024**2)
        finally:
            os.close(reader)
    lost = 200 - written.count(b"\n")
    assert 0 < lost < 200
    assert told == b"\n%d lines are missing here: nobody read them\nweb        | read again\n" % lost


def test_valkey_keeps_nothing_and_listens_on_no_port(tmp_path: Path) -> None:
    valkey = EmbeddedValkey(tmp_path / "mq")
    command = " ".join(valkey.command())
    assert "--port 0 " in command
    assert "--save  --appendonly no" in command
    assert valkey.url == f"redis+socket://{tmp_path}/mq/valkey.sock"
