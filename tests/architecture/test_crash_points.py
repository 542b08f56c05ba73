"""Crash points are armed by a test alone, fire once, and are all in the code."""

from __future__ import annotations

import ast
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobservice.crash_points import FIRED, POINTS, arm_crash_points, crash_point
from jobservice.env import ConfigurationError
from tests.chaos.waves import ALONE, EXERCISED

ROOT = Path(__file__).resolve().parents[2]
POINT = "record.before_commit"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / FIRED).mkdir()
    arm_crash_points(tmp_path)
    yield tmp_path
    arm_crash_points(None)


def named_points() -> Counter[str]:
    """The argument of every call in the product's code; each must be a plain text."""
    found: Counter[str] = Counter()
    for package in ("api", "jobservice", "tenants", "workers"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "crash_point":
                    (argument,) = node.args
                    assert isinstance(argument, ast.Constant), f"{path}:{node.lineno}"
                    found[str(argument.value)] += 1
    return found


def end_of_fork(act: Callable[[], None]) -> int:
    """How a process that does this ends, as `waitpid` says it."""
    pid = os.fork()
    if pid == 0:
        try:
            act()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def visit_twice() -> None:
    crash_point(POINT)
    crash_point(POINT)


def test_every_point_of_the_register_is_in_the_code_and_no_other() -> None:
    assert set(named_points()) == POINTS


def test_every_point_of_the_register_is_exercised_by_the_chaos_tests() -> None:
    tests = (ROOT / "tests" / "chaos" / "test_crash_points.py").read_text()
    assert EXERCISED == POINTS
    assert {point for point in ALONE if f'"{point}"' not in tests} == set()


def test_a_point_that_nobody_armed_does_nothing(folder: Path) -> None:
    crash_point(POINT)
    arm_crash_points(None)
    (folder / POINT).touch()
    crash_point(POINT)
    assert list((folder / FIRED).iterdir()) == []


def test_an_armed_point_kills_one_process_once(folder: Path) -> None:
    (folder / POINT).touch()
    assert end_of_fork(lambda: crash_point(POINT)) == -signal.SIGKILL
    assert (folder / FIRED / POINT).exists()
    assert end_of_fork(lambda: crash_point(POINT)) == 0


def test_a_point_can_wait_for_a_later_visit(folder: Path) -> None:
    (folder / POINT).write_text("2")
    # The visits of other processes do not count.
    assert end_of_fork(lambda: crash_point(POINT)) == 0
    assert end_of_fork(visit_twice) == -signal.SIGKILL


def test_a_name_that_is_not_registered_is_a_fault(folder: Path) -> None:
    with pytest.raises(LookupError, match=r"no\.such"):
        crash_point("no.such")


def test_a_folder_that_no_test_made_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="for tests only"):
        arm_crash_points(tmp_path)
    crash_point("no.such")
