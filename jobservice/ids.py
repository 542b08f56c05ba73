"""Ids: UUIDv7 inside, prefixed TypeIDs (`job_01h…`) for people. Spec: TypeID 0.3 over RFC 9562."""

from __future__ import annotations

from uuid import UUID

import uuid_utils
import uuid_utils.compat
from typeid import TypeID
from typeid.errors import TypeIDException

JOB, ATTEMPT, EVENT, DELIVERY, API_KEY, TENANT, JOB_TYPE = "job", "att", "evt", "dlv", "key", "tnt", "typ"
MEMBER, BULK_ACTION, ENDPOINT, AUDIT_EVENT, ERROR_GROUP, ACCOUNT = "mem", "bat", "end", "aud", "err", "acc"


def new_id() -> UUID:
    """A new UUIDv7: later ids sort after earlier ones, and its time names its partition."""
    return uuid_utils.compat.uuid7()


def show_id(prefix: str, value: UUID) -> str:
    """The id as people see it, such as `job_01h455vb4pex5vsknk084sn02q`."""
    return str(TypeID.from_uuid(uuid_utils.UUID(bytes=value.bytes), prefix))


def parse_id(prefix: str, text: str) -> UUID | None:
    """The UUID behind an id of this prefix; None when the text is anything else."""
    try:
        typeid = TypeID.from_string(text)
        if typeid.prefix != prefix or str(typeid) != text:
            return None
        return UUID(bytes=bytes(typeid.uuid.bytes))
    except (TypeIDException, ValueError):
        return None
