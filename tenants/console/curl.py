"""What a page shows, as a line for a shell: the same request of the API, its key left for the reader to fill in."""

from __future__ import annotations

import shlex
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest

from jobservice.jobs.bulk_action_request import show_filter
from jobservice.jobs.job_search import JobFilters

_KEY = '-H "Authorization: Bearer $JOBSERVICE_KEY"'


def show_curl(request: HttpRequest, path: str, parameters: list[tuple[str, Any]] | None = None) -> str:
    """A GET of the API."""
    query = f"?{urlencode(parameters)}" if parameters else ""
    return f"curl -sS {shlex.quote(_root(request) + path + query)} \\\n  {_KEY}"


def show_post(request: HttpRequest, path: str, body: str) -> str:
    """A POST of the API with a JSON body."""
    return (
        f"curl -sS {shlex.quote(_root(request) + path)} \\\n  {_KEY} \\\n"
        f'  -H "Content-Type: application/json" \\\n  -d {shlex.quote(body)}'
    )


def with_key(line: str, key: str) -> str:
    """The line with a key in its place: only where the key itself stands beside it."""
    return line.replace("$JOBSERVICE_KEY", key)


def filter_parameters(filters: JobFilters) -> list[tuple[str, Any]]:
    """The filters as the API's list takes them."""
    shown = show_filter(filters)
    tags = shown.pop("tag", [])
    return [*shown.items(), *(("tag", tag) for tag in tags)]


def _root(request: HttpRequest) -> str:
    public = settings.ENVIRONMENT.public_url.rstrip("/")
    return public or request.build_absolute_uri("/").rstrip("/")
