"""For people who write handlers: run one in isolation, or submit and run jobs in a test database. See docs/handlers.md.

`perform_job` needs nothing. Everything else needs a database, which `-p jobservice.testing.environment` starts for the
test run; the fixtures of `jobservice.testing.plugin` are these functions. Nothing of the service uses this package.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from jobservice.testing.isolation import PayloadRefused, Performed, perform_job

if TYPE_CHECKING:
    from jobservice.testing.database import (
        SubmittedJob,
        TrialTenant,
        advance,
        assert_submitted,
        drain_queue,
        make_tenant,
        quiet_process,
        refute_submitted,
        submit_job,
        submitted_jobs,
    )

__all__ = [
    "PayloadRefused",
    "Performed",
    "SubmittedJob",
    "TrialTenant",
    "advance",
    "assert_submitted",
    "drain_queue",
    "make_tenant",
    "perform_job",
    "quiet_process",
    "refute_submitted",
    "submit_job",
    "submitted_jobs",
]


def __getattr__(name: str) -> Any:
    """The rest only when it is asked for: it needs Django set up, which a plugin of pytest comes before."""
    if name in __all__:
        return getattr(import_module("jobservice.testing.database"), name)
    raise AttributeError(name)
