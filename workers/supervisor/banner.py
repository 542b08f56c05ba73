"""What `manage.py up` tells the person in front of it once the service answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from workers.supervisor.first_tenant import OWNER_EMAIL


@dataclass(frozen=True, slots=True)
class Welcome:
    """The facts of one start. `new_key`, the demo tenant's key, is of the start that made it only; `new_link`, its
    owner's way into the console, is there until they have chosen a password.
    """

    address: str
    key_path: Path
    new_key: str
    console: str
    new_link: str
    allows_loopback: bool
    missing: tuple[str, ...] = ()


def write_banner(welcome: Welcome) -> str:
    """The lines to print, without prefixes, so that the curl line can be pasted."""
    lines = ["", f"jobservice is ready at {welcome.address}"]
    lines += [f"  API        {welcome.address}/v1/jobs", f"  Docs       {welcome.address}/docs"]
    lines += _console_lines(welcome)
    if welcome.allows_loopback:
        lines += ["  Egress     loopback addresses may be called (set JOBSERVICE_EGRESS_ALLOW= to forbid it)"]
    lines += _key_lines(welcome)
    if welcome.missing:
        lines += [f"  Missing    {', '.join(welcome.missing)}: not ready yet; the lines above may say why"]
    lines += ["  Stop       Ctrl-C", ""]
    return "\n".join(lines) + "\n"


def _console_lines(welcome: Welcome) -> list[str]:
    if welcome.new_link:
        return [
            f"  Console    {welcome.new_link}",
            f"             good once, for seven days: choose a password, and you are in as {OWNER_EMAIL}",
        ]
    return [f"  Console    {welcome.console}"]


def _curl_line(welcome: Welcome) -> str:
    return (
        f'curl -sS {welcome.address}/v1/jobs -H "Authorization: Bearer {welcome.new_key}" '
        '-H "Content-Type: application/json" -d \'{"type": "echo", "payload": {"hello": "world"}}\''
    )


def _key_lines(welcome: Welcome) -> list[str]:
    if welcome.new_key:
        return [
            f"  API key    {welcome.new_key}",
            f"             of tenant demo, shown once; kept in {welcome.key_path}",
            f"  Try it     {_curl_line(welcome)}",
        ]
    if welcome.key_path.exists():
        return [f"  API key    of tenant demo, in {welcome.key_path}"]
    return ["  API key    make one with: python manage.py create_api_key TENANT --scopes …"]
