"""The proofs bite: each seeded bug of `bugs/` is put into a copy of the code, and the tests that it names turn red.

The short form tries the `# Fast` ones only. `tests/seeded_bugs.py` says what a patch looks like and how it is tried.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.sizes import IS_LONG
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

BUGS = Path(__file__).resolve().parent / "bugs"
PAGE = ROOT / "docs" / "reliability.md"

ALL = read_bugs(BUGS)
TRIED = [bug for bug in ALL if IS_LONG or bug.is_fast]


@pytest.fixture(scope="module")
def sound_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy in which all the named tests are green, so that red means the bug."""
    folder = copy_project(tmp_path_factory.mktemp("sound"))
    assert_sound(folder, TRIED)
    return folder


@pytest.mark.parametrize("bug", ALL, ids=lambda bug: bug.path.stem)
def test_a_seeded_bug_still_applies(bug: Bug) -> None:
    assert_applies(bug)


@pytest.mark.usefixtures("sound_project")
@pytest.mark.parametrize("bug", TRIED, ids=lambda bug: bug.path.stem)
def test_a_seeded_bug_is_caught(bug: Bug, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = assert_caught(bug, tmp_path / "project")
    with capsys.disabled():
        print("", *told, sep="\n")


def test_the_page_tells_every_bug_and_what_catches_it() -> None:
    assert told_on(PAGE) == files_of(ALL)
    assert sum(bug.is_fast for bug in ALL) == 2
