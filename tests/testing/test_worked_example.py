"""The handler of docs/handlers.md and its tests, as a reader would have them: in a folder of their own, by pytest."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.deep

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(300)
def test_the_worked_example_passes_as_it_is_written(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "handlers.md").read_text()
    files = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", page, re.DOTALL))
    assert set(files) == {"invoices.py", "test_invoices.py"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("JOBSERVICE_", "PYTEST_"))}
    for name in ("DATABASE_URL", "TEST_DATABASE_URL", "DJANGO_SETTINGS_MODULE"):
        inherited.pop(name, None)
    plugins = ["-p", "jobservice.testing.environment", "-p", "jobservice.testing.plugin"]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-W", "error", *plugins, str(tmp_path)],
        cwd=tmp_path,
        env={**inherited, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert "4 passed" in ended.stdout, ended.stdout + ended.stderr
    assert ended.returncode == 0
