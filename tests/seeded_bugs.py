"""A change for the worse, put into a copy of the code, and the tests that it names: they must turn red.

A patch begins with `# Wrong: ` and a sentence, then one `# Caught by: ` and a test for each test that must fail.
`# Fast` marks those that the short form of a suite tries, so that its runner does not rot.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
FAILED = 1
# A test that fails so has seen no bug, but code that cannot run at all.
BROKEN_CODE = ("SyntaxError", "IndentationError", "NameError", "ImportError", "AttributeError", "ProgrammingError")
PATIENCE_SECONDS = 1800


@dataclass(frozen=True, slots=True)
class Bug:
    """A patch with what is wrong in it, and the tests of which each must see it."""

    path: Path
    wrong: str
    caught_by: tuple[str, ...]
    is_fast: bool


@dataclass(frozen=True, slots=True)
class Run:
    """What pytest said of a selection: its exit code, each red test with its message, and all that it wrote."""

    exit_code: int
    red: dict[str, str]
    output: str
    seconds: float


def read_bug(path: Path) -> Bug:
    head = path.read_text().partition("diff --git ")[0].splitlines()
    wrong = [line.removeprefix("# Wrong: ") for line in head if line.startswith("# Wrong: ")]
    caught_by = [line.removeprefix("# Caught by: ") for line in head if line.startswith("# Caught by: ")]
    assert len(wrong) == 1, f"{path.name} says in one line what is wrong."
    assert caught_by, f"{path.name} names no test that catches it."
    return Bug(path, wrong[0], tuple(caught_by), is_fast="# Fast" in head)


def read_bugs(folder: Path) -> list[Bug]:
    return [read_bug(path) for path in sorted(folder.glob("*.patch"))]


def copy_project(folder: Path) -> Path:
    """The working tree as it is: what git tracks and what is new, without what it ignores."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def seed_bug(bug: Bug, folder: Path) -> None:
    # Not above the folder: inside of another repository git would leave the patch out, and say nothing.
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(folder.parent)}
    done = subprocess.run(
        ["git", "apply", str(bug.path)], cwd=folder, env=environment, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, _unfit(bug, done.stderr)


def run_tests(folder: Path, tests: Iterable[str], *, stop_at_first: bool = True) -> Run:
    """Run this selection of a copy's tests in a process, a database and a data folder of its own."""
    begun_at, report = time.monotonic(), folder / "report.xml"
    options = ["-p", "no:randomly", "-p", "no:cacheprovider", "-q", f"--junitxml={report}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *(["-x"] if stop_at_first else []), *tests],
        cwd=folder,
        env=own_environment(),
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    red = read_red_tests(report) if report.exists() else {}
    return Run(done.returncode, red, done.stdout + done.stderr, time.monotonic() - begun_at)


def own_environment() -> dict[str, str]:
    """Nothing of this run: neither its database and data folder, nor how pytest was called, nor the long form."""
    ours = ("PYTEST_", "JOBSERVICE_", "CHAOS", "SEEDS", "MODEL_", "HOLES")
    names = {"DATABASE_URL", "TEST_DATABASE_URL", "BROKER_URL", "PYTHONPATH", "DJANGO_SETTINGS_MODULE"}
    return {name: value for name, value in os.environ.items() if name not in names and not name.startswith(ours)}


def read_red_tests(report: Path) -> dict[str, str]:
    """Each test that failed, or whose check afterwards did, with its message; not one that could not begin."""
    red = {}
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314 (pytest just wrote it)
        for fault in (*case.findall("failure"), *case.findall("error")):
            message = fault.get("message", "")
            if fault.tag == "failure" or message.startswith("failed on teardown"):
                # Of several faults of one test its message names none; the first assertion does.
                asserted = re.search(r"AssertionError: .+", fault.text or "")
                red[f"{case.get('classname')}::{case.get('name')}"] = asserted[0] if asserted else message
    return red


def assert_applies(bug: Bug) -> None:
    """Pass when the patch fits the working tree as it is."""
    done = subprocess.run(
        ["git", "apply", "--check", str(bug.path)], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, _unfit(bug, done.stderr)


def assert_sound(folder: Path, bugs: Iterable[Bug]) -> None:
    """Pass when all the named tests are green in a copy without any bug, so that red means the bug."""
    run = run_tests(folder, dict.fromkeys(test for bug in bugs for test in bug.caught_by))
    assert run.exit_code == 0, f"The code without any bug is refused:\n{run.output[-6000:]}"


def assert_caught(bug: Bug, folder: Path) -> list[str]:
    """Pass when each test that the patch names turns red by it in a copy of its own; a line about each."""
    seed_bug(bug, copy_project(folder))
    told = []
    for test in bug.caught_by:
        run = run_tests(folder, [test])
        assert run.exit_code == FAILED, f"{test} does not catch it: {bug.wrong}\n{run.output[-3000:]}"
        assert run.red, f"{test} could not even begin: {bug.wrong}\n{run.output[-3000:]}"
        name, message = next(iter(run.red.items()))
        assert not any(word in message for word in BROKEN_CODE), f"{bug.path.name} is no bug but broken code: {message}"
        told.append(f"{bug.path.stem}: {run.seconds:.0f} s, {name}: {message.splitlines()[0][:120]}")
    return told


def told_on(page: Path) -> dict[str, set[str]]:
    """What a page's table says catches each bug: rows of a step, the bug with a sentence, and files of tests."""
    rows = re.findall(r"^\| [\w ]+ \| `([a-z0-9-]+)`: .+ \| (.+) \|$", page.read_text(), re.MULTILINE)
    return {name: set(re.findall(r"`(.+?)`", files)) for name, files in rows}


def files_of(bugs: Iterable[Bug]) -> dict[str, set[str]]:
    """The same as the patches say."""
    return {bug.path.stem: {test.split("::")[0].removeprefix("tests/") for test in bug.caught_by} for bug in bugs}


def _unfit(bug: Bug, why: str) -> str:
    return f"{bug.path.name} does not apply to the code any more; make it anew, and see its tests turn red.\n{why}"
