"""What is sealed of an endpoint: its address, its own headers, and the name of its signing secret."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from jobservice.ids import ENDPOINT, show_id
from tenants.data_keys import open_column, seal_column

# The kind of a blob that holds the beginning of what a receiver answered.
ANSWER = "answer"
_TABLE = "webhook_endpoint"


@dataclass(frozen=True, slots=True)
class EndpointTarget:
    """Where events go, and the headers that they go with besides ours."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


class SealedTarget(Protocol):
    """An endpoint's address and headers as they are stored."""

    @property
    def url(self) -> bytes: ...

    @property
    def headers(self) -> bytes | None: ...


def secret_name(endpoint_id: UUID) -> str:
    """The name under which an endpoint's own signing secret is kept."""
    return show_id(ENDPOINT, endpoint_id)


def seal_target(tenant_id: UUID, endpoint_id: UUID, target: EndpointTarget) -> tuple[bytes, bytes | None]:
    """The sealed address, and the sealed headers, None without any."""
    url = seal_column(tenant_id, table=_TABLE, column="url_sealed", row_id=endpoint_id, plaintext=target.url.encode())
    if not target.headers:
        return url, None
    document = json.dumps(dict(target.headers)).encode()
    return url, seal_column(tenant_id, table=_TABLE, column="headers_sealed", row_id=endpoint_id, plaintext=document)


def open_target(tenant_id: UUID, endpoint_id: UUID, sealed: SealedTarget) -> EndpointTarget:
    """What `seal_target` sealed. Raises `SealingError`."""
    url = open_column(tenant_id, table=_TABLE, column="url_sealed", row_id=endpoint_id, sealed=sealed.url)
    if sealed.headers is None:
        return EndpointTarget(url.decode())
    headers = open_column(tenant_id, table=_TABLE, column="headers_sealed", row_id=endpoint_id, sealed=sealed.headers)
    return EndpointTarget(url.decode(), json.loads(headers))
