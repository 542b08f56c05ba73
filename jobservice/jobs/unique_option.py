"""The `unique` option of a submission: how it is read, and the hash by which equal keys are found. No database.

A key is either a text of the client's, or a selection: options of the job, by name, and values picked out of its
payload by JSON Pointers (RFC 6901). Exactly what is named counts: a key of pointers alone is the same for every type.
- Which of the two it is, and the names and pointers themselves, are part of the hash: `{"fields": ["type"]}` of one
  job never meets `{"fields": ["type", "queue"]}` of another. Their order is not.
- A pointer that finds nothing is absent, which is another value than null.
- Numbers are equal when they are the same number: 1 and 1.0 are, for JSON knows one kind, and which of the two is
  written depends on the client's language. True is no number. Texts are compared character by character.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from jobservice.crypto.keyed_hash import keyed_hash
from jobservice.field_checks import Fields

HeldWhile = Literal["unfinished", "waiting"]
OnConflict = Literal["return", "reject", "replace"]
UNFINISHED: HeldWhile = "unfinished"
WAITING: HeldWhile = "waiting"
HELD_WHILE: tuple[HeldWhile, ...] = (UNFINISHED, WAITING)
ON_CONFLICT: tuple[OnConflict, ...] = ("return", "reject", "replace")

KEY_CHARACTERS = 200
FIELDS = ("type", "queue", "priority", "tags")
MAX_POINTERS = 16
POINTER_CHARACTERS = 500
MAX_PERIOD_SECONDS = 366 * 86_400
# RFC 6901, section 3, without the one character that no text of the service has.
POINTER = r"(/([^~/\u0000]|~[01])*)*"

_POINTER = re.compile(POINTER, re.DOTALL)
# How a whole number looks in Python's JSON that was no integer. In a text it means nothing, and does no harm.
_FRACTION_OF_ZERO = re.compile(r"\.0(?![0-9])|[0-9]e\+")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_MEMBERS = frozenset({"key", "fields", "payload_pointers", "period_seconds", "while", "on_conflict"})


@dataclass(frozen=True, slots=True)
class UniqueOption:
    """A checked `unique`: a key, or the names of options with what was picked out of the payload.

    `picked` is the picked values by pointer, in canonical JSON; None when no pointer was given.
    """

    key: str | None = field(default=None, repr=False)
    fields: tuple[str, ...] = ()
    picked: str | None = field(default=None, repr=False)
    period_seconds: int | None = None
    held_while: HeldWhile = UNFINISHED
    on_conflict: OnConflict = "return"


def read_unique(fields: Fields) -> UniqueOption | None:
    """The `unique` of a submission's fields; None when it is not given. Faults are noted."""
    unique = fields.fields("unique")
    if unique is None:
        return None
    unique.refuse_others(known=_MEMBERS)
    key = _read_key(unique)
    names = _read_names(unique)
    pointers = _read_pointers(unique)
    _check_kind(fields, unique)
    return UniqueOption(
        key=key,
        fields=tuple(sorted(names)),
        picked=_pick(fields.raw.get("payload"), pointers) if pointers else None,
        period_seconds=unique.integer("period_seconds", low=1, high=MAX_PERIOD_SECONDS),
        held_while=cast(HeldWhile, unique.choice("while", HELD_WHILE) or UNFINISHED),
        on_conflict=cast(OnConflict, unique.choice("on_conflict", ON_CONFLICT) or "return"),
    )


def hash_unique(index_key: bytes, option: UniqueOption, options: Mapping[str, Any]) -> bytes:
    """The keyed hash of the option; `options` has the values of all `FIELDS`, defaults of the job's type included."""
    if option.key is not None:
        return keyed_hash(index_key, "unique", b"key", option.key.encode())
    named = canonical_json({name: options[name] for name in option.fields})
    return keyed_hash(index_key, "unique", b"selection", named.encode(), (option.picked or "").encode())


def canonical_json(value: object) -> str:
    """One text for all ways to write the same JSON value, 1 and 1.0 included."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    if _FRACTION_OF_ZERO.search(text) is None:
        return text
    return json.dumps(_one_number(value), sort_keys=True, separators=(",", ":"))


def _read_key(unique: Fields) -> str | None:
    key = unique.text("key", max_characters=KEY_CHARACTERS)
    if key == "":
        unique.refuse("key", "out-of-range", f"key must have 1 to {KEY_CHARACTERS} characters.")
    return key


def _read_names(unique: Fields) -> list[str]:
    return _read_list(unique, "fields", at_most=len(FIELDS), is_right=lambda entries, at: entries.choice(at, FIELDS))


def _read_pointers(unique: Fields) -> list[str]:
    return _read_list(unique, "payload_pointers", at_most=MAX_POINTERS, is_right=_read_pointer)


def _read_list(unique: Fields, name: str, *, at_most: int, is_right: Any) -> list[str]:
    """The texts of an array that has some, each another one."""
    given = unique.array(name)
    if given is None:
        return []
    if not 1 <= len(given) <= at_most:
        unique.refuse(name, "out-of-range", f"{name} must have 1 to {at_most} entries.")
        return []
    entries = Fields(
        {str(at): entry for at, entry in enumerate(given)}, faults=unique.faults, pointer=unique.pointer(name)
    )
    read: list[str] = []
    for at in entries.raw:
        entries.require(at)
        value = is_right(entries, at)
        if value in read:
            entries.refuse(at, "not-unique", f"{name} must not repeat an entry.")
        elif value is not None:
            read.append(value)
    return read


def _read_pointer(entries: Fields, at: str) -> str | None:
    pointer = entries.text(at, max_characters=POINTER_CHARACTERS)
    if pointer is not None and not _POINTER.fullmatch(pointer):
        entries.refuse(at, "bad-format", "A JSON Pointer is empty or starts with /, and has ~ only as ~0 or ~1.")
        return None
    return pointer


def _check_kind(fields: Fields, unique: Fields) -> None:
    has_key = unique.raw.get("key") is not None
    has_selection = any(unique.raw.get(name) is not None for name in ("fields", "payload_pointers"))
    if has_key and has_selection:
        unique.refuse("key", "conflicting-fields", "Give key, or fields and payload_pointers, not both.")
    elif not has_key and not has_selection:
        fields.refuse("unique", "required", "unique needs key, or fields or payload_pointers.")


def _pick(payload: object, pointers: list[str]) -> str:
    """The values that the pointers find, by pointer: each alone in a list, which is empty where there is none.

    What lies inside of what another pointer finds adds nothing to it, and is not looked for: sixteen pointers into one
    another would cost sixteen payloads.
    """
    return canonical_json(
        {pointer: [] if _is_inside(pointer, pointers) else _find(payload, pointer) for pointer in pointers}
    )


def _is_inside(pointer: str, others: list[str]) -> bool:
    return any(pointer != other and pointer.startswith(f"{other}/") for other in others)


def _find(value: Any, pointer: str) -> list[Any]:
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and _INDEX.fullmatch(name) and int(name) < len(value):
            value = value[int(name)]
        else:
            return []
    return [value]


def _one_number(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _one_number(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_one_number(entry) for entry in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
