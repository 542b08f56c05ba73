"""What `manage.py up` tells the person in front of it once the service answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Welcome:
    """The facts of one start. `new_key` is the demo tenant's key, on the start that made it only."""

    address: str
    key_path: Path
    new_key: str
    allows_loopback: bool


def write_banner(welcome: Welcome) -> str:
    """The lines to print, without prefixes, so that the curl line can be pasted."""
    lines = ["", f"jobservice is ready at {welcome.address}"]
    lines += [f"  API        {welcome.address}/v1/jobs", f"  Docs       {welcome.address}/docs"]
    if welcome.allows_loopback:
        lines += ["  Egress     loopback addresses may be called (set JOBSERVICE_EGRESS_ALLOW= to forbid it)"]
    lines += _key_lines(welcome)
    lines += ["  Stop       Ctrl-C", ""]
    return "\n".join(lines) + "\n"


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
