"""Entity tags of configuration, and what the conditions of a request make of them (RFC 9110, 13.1 and 13.2.2).

A tag stands for one version of one object: what is made anew under an old name has another.
"""

from __future__ import annotations

import hashlib

from rest_framework.request import Request

from jobservice.preconditions import Precondition

_TAG_DIGITS = 32


def show_etag(revision: str) -> str:
    """The strong tag of a revision, which nobody can read out of it."""
    return f'"{hashlib.sha256(revision.encode()).hexdigest()[:_TAG_DIGITS]}"'


def read_precondition(request: Request) -> Precondition | None:
    """Whether a stored revision (None: there is no object) meets the headers; None when there are none."""
    wanted, unwanted = request.META.get("HTTP_IF_MATCH"), request.META.get("HTTP_IF_NONE_MATCH")
    if wanted is None and unwanted is None:
        return None
    return lambda revision: (
        (wanted is None or _names(wanted, revision))
        and (unwanted is None or not _names(unwanted, revision, is_weak=True))
    )


def has_current(request: Request, revision: str) -> bool:
    """Whether the client says that it has this revision already."""
    known = request.META.get("HTTP_IF_NONE_MATCH")
    return known is not None and _names(known, revision, is_weak=True)


def _names(header: str, revision: str | None, *, is_weak: bool = False) -> bool:
    """Whether the header names the revision. Weakly compared, a tag that says it is weak counts, too."""
    if revision is None:
        return False
    if header.strip() == "*":
        return True
    tags = (tag.strip() for tag in header.split(","))
    return show_etag(revision) in {tag.removeprefix("W/") if is_weak else tag for tag in tags}
