"""Asks the web process whether it can serve."""

from __future__ import annotations

import http.client
from dataclasses import dataclass

from jobservice.egress.own_inbox import own_address

PATH = "/readyz"
TIMEOUT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Site:
    """Where the web process listens, and a name it answers to."""

    host: str
    port: int
    name: str

    @property
    def address(self) -> str:
        host = own_address(self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def is_ready(self) -> bool:
        """Whether `/readyz` answers 200 now."""
        host = own_address(self.host)
        connection = http.client.HTTPConnection(host, self.port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request("GET", PATH, headers={"Host": f"{self.name}:{self.port}"})
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def describe_site(host: str, port: int, allowed_hosts: list[str]) -> Site:
    """The site of a start; its name is one that the allowed hosts admit."""
    own = own_address(host)
    if not allowed_hosts or "*" in allowed_hosts or own in allowed_hosts:
        return Site(host=host, port=port, name=f"[{own}]" if ":" in own else own)
    return Site(host=host, port=port, name=allowed_hosts[0].lstrip("."))
