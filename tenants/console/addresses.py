"""Addresses of pages with what is looked at in their query."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from django.urls import reverse

from tenants.console.job_query import join_words


def with_query(path: str, parameters: Mapping[str, str]) -> str:
    """The path with the parameters that are not empty."""
    given = {name: value for name, value in parameters.items() if value}
    return f"{path}?{urlencode(given, safe=',:')}" if given else path


def jobs_address(words: list[tuple[str, str]]) -> str:
    """The list of jobs that these qualifiers and values find."""
    return with_query(reverse("console-JobList"), {"q": join_words(words)})
