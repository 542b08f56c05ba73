"""The addresses that people are given once: to redeem an invitation, or to choose another password."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings

from jobservice.env import Environment

_LOOPBACK = frozenset({"127.0.0.1", "::1"})


def invitation_url(text: str) -> str:
    return f"{console_url()}/invitation/{text}"


def reset_url(text: str) -> str:
    return f"{console_url()}/reset/{text}"


def console_url(environment: Environment | None = None) -> str:
    """The console's address. This machine is named `localhost`: browsers know passkeys by a name only."""
    environment = environment or settings.ENVIRONMENT
    given = environment.public_url.rstrip("/") or f"http://127.0.0.1:{environment.port}"
    parts = urlsplit(given)
    if parts.hostname in _LOOPBACK:
        given = f"{parts.scheme}://localhost{'' if parts.port is None else f':{parts.port}'}"
    return f"{given}/console"
