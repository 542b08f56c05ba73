"""A plugin of pytest, loaded with `-p jobservice.testing.environment`: a migrated database for tests of handlers.

It must be named there, and not be found by pytest itself: it comes before Django reads its settings, and it starts a
PostgreSQL, which only a test run of the service's database wants.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from jobservice import testing
from jobservice.testing.setup import prepare_environment

prepare_environment(kept=("JOBSERVICE_HANDLERS",))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jobservice.settings")


@pytest.fixture(autouse=True)
def _quiet_process() -> Iterator[None]:
    """What one test opened, no other finds; and nobody listens for new jobs."""
    with testing.quiet_process():
        yield
