"""What a caller expects of the configuration that it changes: judged while the row is locked. No HTTP."""

from __future__ import annotations

from collections.abc import Callable

from jobservice.errors import JobserviceError

# Whether a stored revision meets what the caller expects; None: there is no such object.
Precondition = Callable[[str | None], bool]


class PreconditionFailed(JobserviceError):
    """The object is not in the version that the caller expects."""

    code = "precondition-failed"


def check_precondition(precondition: Precondition | None, revision: str | None, *, what: str) -> None:
    """Pass when there is no precondition or the revision meets it. Raises `PreconditionFailed`."""
    if precondition is not None and not precondition(revision):
        raise PreconditionFailed(f"The {what} is not as If-Match or If-None-Match wants it.")
