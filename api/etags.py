"""Entity tags of configuration: the version of the object, and what If-Match makes of it (RFC 9110, 13.1.1)."""

from __future__ import annotations

from rest_framework.request import Request

from jobservice.jobs.job_types import Precondition


def show_etag(version: int) -> str:
    """The strong tag of a version."""
    return f'"{version}"'


def read_if_match(request: Request) -> Precondition | None:
    """Whether a stored version (None: there is no object) meets the header; None when the header is absent."""
    header = request.META.get("HTTP_IF_MATCH")
    if header is None:
        return None
    if header.strip() == "*":
        return lambda version: version is not None
    tags = {tag.strip() for tag in header.split(",")}
    return lambda version: version is not None and show_etag(version) in tags
