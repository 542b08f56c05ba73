"""An operator's wish for the health checks: heeded once, by a process that holds up no round and does not last."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from workers.examinations import Examination, _environment

WAIT_SECONDS = 60.0


@dataclass
class Wishes:
    """How often the checks are asked for, whether the command keeps what it finds, and what came to nothing."""

    asked: int = 0
    is_kept: bool = True
    failures: list[str] = field(default_factory=list)

    def take(self, **_options: float) -> datetime | None:
        if not self.asked:
            return None
        self.asked -= 1
        return datetime.now(UTC)

    def fail(self, _taken_at: datetime, failure: str) -> bool:
        self.failures += [] if self.is_kept else [failure]
        return not self.is_kept


@pytest.fixture
def wishes(monkeypatch: pytest.MonkeyPatch) -> Wishes:
    made = Wishes()
    monkeypatch.setattr("workers.examinations.take_examination", made.take)
    monkeypatch.setattr("workers.examinations.fail_examination", made.fail)
    return made


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    told: list[str] = []
    monkeypatch.setattr("workers.examinations.log_event", lambda event, **_fields: told.append(event))
    return told


def python(program: str) -> tuple[str, ...]:
    return (sys.executable, "-c", program)


def act_until(examination: Examination, is_reached: Callable[[], bool]) -> None:
    until = time.monotonic() + WAIT_SECONDS
    while not is_reached():
        assert time.monotonic() < until
        examination.act()
        time.sleep(0.01)


def test_a_wish_begins_one_process_and_nothing_begins_without_one(
    wishes: Wishes, events: list[str], tmp_path: Path
) -> None:
    marks = tmp_path / "marks"
    examination = Examination(command=python(f"open({str(marks)!r}, 'a').write('x')"))
    examination.act()
    assert examination._process is None
    wishes.asked = 1
    examination.act()
    act_until(examination, lambda: examination._process is None)
    examination.act()
    assert marks.read_text() == "x"
    assert events == []


def test_what_is_found_wrong_is_an_answer_and_a_command_that_cannot_look_is_told(
    wishes: Wishes, events: list[str]
) -> None:
    for status, told in ((1, []), (2, ["examination_failed"])):
        examination = Examination(command=python(f"raise SystemExit({status})"))
        wishes.asked, wishes.is_kept = 1, status == 1
        examination.act()
        act_until(examination, lambda examination=examination: examination._process is None)  # type: ignore[misc]
        assert events == told
    assert wishes.failures == ["cannot-look"]


@pytest.mark.parametrize("program", ["raise RuntimeError", "pass"])
def test_a_command_that_ends_and_kept_nothing_is_told_whatever_it_ends_with(
    wishes: Wishes, events: list[str], program: str
) -> None:
    """Exit code 1 is that of a program that crashed, too."""
    wishes.asked, wishes.is_kept = 1, False
    examination = Examination(command=python(program))
    examination.act()
    act_until(examination, lambda: examination._process is None)
    assert events == ["examination_failed"]
    assert wishes.failures == ["cannot-look"]


def test_one_that_hangs_is_killed_and_the_next_wish_is_heeded(wishes: Wishes, events: list[str]) -> None:
    examination = Examination(command=python("import time; time.sleep(600)"), most_seconds=0.2)
    wishes.asked, wishes.is_kept = 2, False
    examination.act()
    first = examination._process
    act_until(examination, lambda: examination._process is not first)
    assert first is not None
    assert first.poll() is not None
    assert (events, wishes.failures) == (["examination_failed"], ["too-long"])
    act_until(examination, lambda: not wishes.asked)
    act_until(examination, lambda: examination._process is None)


def test_a_machine_without_room_for_a_process_goes_on(
    wishes: Wishes, events: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise BlockingIOError

    monkeypatch.setattr("workers.examinations.subprocess.Popen", refuse)
    wishes.asked, wishes.is_kept = 1, False
    Examination().act()
    assert (events, wishes.failures) == (["examination_failed"], ["not-begun"])


def test_the_command_runs_as_the_owner_and_says_nothing_to_the_supervisor() -> None:
    made = _environment({"JOBSERVICE_PROCESS": "dispatcher", "NOTIFY_SOCKET": "@x", "PATH": "/bin"})
    assert made["JOBSERVICE_PROCESS"] == "owner"
    assert made["PATH"] == "/bin"
    assert "NOTIFY_SOCKET" not in made
