"""The console's own files: what version each is of, so that a browser may keep it for ever and still has the newest."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path

STATIC = Path(__file__).resolve().parent / "static" / "console"


def version_of(path: str) -> str:
    """Changes with the content. Raises `KeyError` for a file that there is not."""
    return _versions()[path]


@cache
def _versions() -> dict[str, str]:
    """Read once per process: a deploy starts new ones."""
    files = (path for path in STATIC.rglob("*") if path.is_file())
    return {path.relative_to(STATIC).as_posix(): sha256(path.read_bytes()).hexdigest()[:12] for path in files}
