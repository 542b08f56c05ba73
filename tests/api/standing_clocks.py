"""The clocks by which requests are counted, made to stand: how many fit then does not depend on the machine."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from tenants import request_limits


def stop_the_clocks(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """For a test in one transaction, with whose begin the database's clock stands; the folder is for a statement."""
    statement = request_limits._TAKE.read_text()
    assert "clock_timestamp()" in statement
    standing = folder / request_limits._TAKE.name
    standing.write_text(statement.replace("clock_timestamp()", "transaction_timestamp()"))
    monkeypatch.setattr(request_limits, "_TAKE", standing)
    monkeypatch.setattr(request_limits, "time", SimpleNamespace(monotonic=lambda: 1000.0))
