"""URLs, hosts and addresses for the tests, one a line in the text files beside this one."""

from __future__ import annotations

from pathlib import Path


def read_corpus(name: str) -> list[str]:
    """The lines of one file."""
    return (Path(__file__).parent / f"{name}.txt").read_text(encoding="utf-8").splitlines()
