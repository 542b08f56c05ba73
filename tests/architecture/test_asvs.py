"""docs/asvs.md has every line of ASVS 5.0 that it promises; every test that it and SECURITY.md name exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Of level 2 and below, of chapters 8 and 11 of level 3 too; without 10 and 17, of which there is nothing here.
LINES = (
    "1.1:1-2 1.2:1-9 1.3:1-11 1.4:1-3 1.5:1-2 2.1:1-3 2.2:1-3 2.3:1-4 2.4:1 3.2:1-2 3.3:1-4 3.4:1-6 3.5:1-5 3.7:1-2 "
    "4.1:1-3 4.2:1 4.3:1-2 4.4:1-4 5.1:1 5.2:1-3 5.3:1-2 5.4:1-3 6.1:1-3 6.2:1-12 6.3:1-4 6.4:1-4 6.5:1-5 6.6:1-3 "
    "6.8:1-4 7.1:1-3 7.2:1-4 7.3:1-2 7.4:1-5 7.5:1-2 7.6:1-2 8.1:1-4 8.2:1-4 8.3:1-3 8.4:1-2 9.1:1-3 9.2:1-4 11.1:1-4 "
    "11.2:1-5 11.3:1-5 11.4:1-4 11.5:1-2 11.6:1-2 11.7:1-2 12.1:1-3 12.2:1-2 12.3:1-4 13.1:1 13.2:1-5 13.3:1-2 "
    "13.4:1-5 14.1:1-2 14.2:1-4 14.3:1-3 15.1:1-3 15.2:1-3 15.3:1-7 16.1:1 16.2:1-5 16.3:1-4 16.4:1-3 16.5:1-3"
)
_TEST = re.compile(r"`(tests/[\w/]+(?:\.py)?)(?:::(\w+))?`")


def wanted_lines() -> Iterator[str]:
    for entry in LINES.split():
        section, _, numbers = entry.partition(":")
        first, _, last = numbers.partition("-")
        yield from (f"{section}.{number}" for number in range(int(first), int(last or first) + 1))


def test_every_line_of_the_standard_is_answered_once() -> None:
    rows = re.findall(r"^\| ([0-9.]+) \| [123] \| .+ \| (.+) \|$", (ROOT / "docs/asvs.md").read_text(), re.MULTILINE)
    assert [line for line, _ in rows] == list(wanted_lines())
    assert all(len(answer.strip()) >= 3 for _, answer in rows)


@pytest.mark.parametrize("page", ["docs/asvs.md", "SECURITY.md"])
def test_every_test_that_is_named_exists(page: str) -> None:
    named = _TEST.findall((ROOT / page).read_text())
    assert len(named) > 10
    assert [reference for reference in named if not _exists(*reference)] == []


def _exists(path: str, name: str) -> bool:
    file = ROOT / path
    if not name:
        return file.exists() or file.with_suffix(".py").exists()
    return file.exists() and re.search(rf"^def {name}\(", file.read_text(), re.MULTILINE) is not None
