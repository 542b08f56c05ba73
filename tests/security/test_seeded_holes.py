"""The proofs bite: each hole of `holes/` is made in a copy of the code, and the tests that it names turn red.

The short form tries the `# Fast` ones only; `HOLES=all` tries all (`make holes`). `tests/seeded_bugs.py` says what a
patch looks like and how it is tried.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.seeded_bugs import (
    ROOT,
    Bug,
    assert_applies,
    assert_caught,
    assert_sound,
    copy_project,
    files_of,
    read_bugs,
    told_on,
)

PAGE = ROOT / "docs" / "security-tests.md"
ALL = read_bugs(Path(__file__).resolve().parent / "holes")
TRIED = [hole for hole in ALL if os.environ.get("HOLES") == "all" or hole.is_fast]

pytestmark = pytest.mark.timeout(7200)


@pytest.fixture(scope="module")
def sound_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy in which all the named tests are green, so that red means the hole."""
    folder = copy_project(tmp_path_factory.mktemp("sound"))
    assert_sound(folder, TRIED)
    return folder


@pytest.mark.parametrize("hole", ALL, ids=lambda hole: hole.path.stem)
def test_a_seeded_hole_still_applies(hole: Bug) -> None:
    assert_applies(hole)


@pytest.mark.usefixtures("sound_project")
@pytest.mark.parametrize("hole", TRIED, ids=lambda hole: hole.path.stem)
def test_a_seeded_hole_is_caught(hole: Bug, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = assert_caught(hole, tmp_path / "project")
    # On a machine that is busy with other things: red, but it has seen nothing.
    assert not any("from pytest-timeout" in line for line in told), f"Ran out of time: {told}"
    with capsys.disabled():
        print("", *told, sep="\n")


def test_the_page_tells_every_hole_and_what_catches_it() -> None:
    assert told_on(PAGE) == files_of(ALL)
    assert len(ALL) >= 50
    assert sum(hole.is_fast for hole in ALL) == 2
