"""API keys as they are asked for, checked field by field; every fault is reported at once. No HTTP, no database."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from jobservice.errors import Fault, Invalid
from jobservice.field_checks import NAME, Fields
from tenants.api_key_changes import MAX_OVERLAP_SECONDS
from tenants.api_key_rights import KeyRights
from tenants.api_keys import SCOPES

NAME_CHARACTERS = 100
MAX_QUEUES = 100
MAX_CIDRS = 100


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """A key as it was asked for."""

    name: str
    rights: KeyRights


def parse_key_request(raw: object) -> KeyRequest:
    """What a body asks for. Raises `Invalid`."""
    fields = _fields_of(raw)
    fields.refuse_others(known=frozenset({"name", "scopes", "queues", "cidrs", "expires_at"}))
    fields.require("name")
    fields.require("scopes")
    request = KeyRequest(
        _read_name(fields),
        KeyRights(
            scopes=frozenset(_read_texts(fields, "scopes", most=len(SCOPES)) or ()),
            queues=_read_texts(fields, "queues", most=MAX_QUEUES),
            cidrs=_read_texts(fields, "cidrs", most=MAX_CIDRS),
            expires_at=fields.instant("expires_at"),
        ),
    )
    _finish(fields)
    return request


def parse_rotation(raw: object, *, unless_given: int = 0) -> int:
    """The overlap in seconds, of a key's rotation or a signing secret's. Raises `Invalid`."""
    fields = _fields_of(raw)
    fields.refuse_others(known=frozenset({"overlap_seconds"}))
    overlap = fields.integer("overlap_seconds", low=0, high=MAX_OVERLAP_SECONDS)
    _finish(fields)
    return unless_given if overlap is None else overlap


def _fields_of(raw: object) -> Fields:
    if not isinstance(raw, dict):
        raise Invalid([Fault("", "wrong-type", "The body must be a JSON object.")])
    return Fields(raw, faults=[])


def _finish(fields: Fields) -> None:
    if fields.faults:
        raise Invalid(fields.faults)


def _read_name(fields: Fields) -> str:
    name = fields.text("name", max_characters=NAME_CHARACTERS)
    if name is not None and not (name and name.isprintable()):
        fields.refuse("name", "bad-format", f"name must have 1 to {NAME_CHARACTERS} printable characters.")
    return name or ""


def _read_texts(fields: Fields, name: str, *, most: int) -> tuple[str, ...] | None:
    """The entries of one list, each once, in their order; None when it is not given."""
    entries = fields.array(name)
    if entries is None:
        return None
    if not entries:
        fields.refuse(name, "out-of-range", f"{name} must have an entry; such a key could do nothing.")
    if len(entries) > most:
        fields.refuse(name, "too-long", f"{name} may have at most {most} entries.")
        return None
    read = {"scopes": _read_scope, "queues": _read_queue, "cidrs": _read_cidr}[name]
    found: dict[str, None] = {}
    for index, entry in enumerate(entries):
        value = read(entry) if isinstance(entry, str) else None
        if value is None:
            _refuse_entry(fields, f"/{name}/{index}", entry, name)
        else:
            found[value] = None
    return tuple(found)


def _refuse_entry(fields: Fields, pointer: str, entry: Any, name: str) -> None:
    rules = {
        "scopes": f"A scope is one of {', '.join(SCOPES)}.",
        "queues": "A queue's name is a-z or 0-9, then at most 99 of a-z, 0-9, . _ and -.",
        "cidrs": "A network is such as 192.0.2.0/24 or 2001:db8::/32, without bits beyond its length.",
    }
    if not isinstance(entry, str):
        fields.faults.append(Fault(pointer, "wrong-type", "The entry must be a string."))
    else:
        fields.faults.append(Fault(pointer, "out-of-range" if name == "scopes" else "bad-format", rules[name]))


def _read_scope(text: str) -> str | None:
    return text if text in SCOPES else None


def _read_queue(text: str) -> str | None:
    return text if NAME.fullmatch(text) else None


def _read_cidr(text: str) -> str | None:
    """In its shortest form. An IPv4 network written as IPv6 is refused: addresses are compared as what they are."""
    try:
        network = ip_network(text)
    except ValueError:
        return None
    return None if getattr(network.network_address, "ipv4_mapped", None) else str(network)
