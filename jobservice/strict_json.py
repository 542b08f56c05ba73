"""JSON by RFC 8259 with no room for two readings, from bytes that are bounded already.

Refused: duplicate members, NaN and Infinity, numbers a double cannot hold, integers of more than 4,300 digits, nesting
over 100, half surrogate pairs. Each refusal is quick, whatever the text.
"""

from __future__ import annotations

import json
import math
import re
from array import array
from itertools import accumulate

from jobservice.errors import JobserviceError

MAX_DEPTH = 100
# Objects and arrays, which take most of what it costs to read a body: all that fit into two mebibytes.
MAX_PARTS = 1_000_000
# A text of JSON, up to the end where none closes it, so that no text is looked through twice; and what a bracket that
# is not in a text does to the depth: one more, or one less.
_TEXT = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*\\?(?:"|\Z)', re.DOTALL)
_BRACKETS = b"[]{}"
# Only an exponent, or as many digits, make a number larger than all: to look at each fraction costs as much as reading.
_EXPONENT, _MANY_DIGITS = re.compile(rb"[0-9][eE]"), re.compile(rb"[0-9]{300}")
_OPENED = b"\x01"
_STEP = bytes.maketrans(_BRACKETS, b"\x01\xff\x01\xff")
_ALL_ELSE = bytes(byte for byte in range(256) if byte not in _BRACKETS)


class MalformedJson(JobserviceError):
    """The text is no JSON, or none that is taken."""

    code = "malformed-json"


def read_json(text: bytes, *, named: str) -> object:
    """The value. `named` begins the sentence of a refusal. Raises `MalformedJson`."""
    if not text.strip():
        raise MalformedJson(f"{named} is empty.")
    parts = text.count(b"[") + text.count(b"{")
    if parts > MAX_PARTS and _brackets(text).count(_OPENED) > MAX_PARTS:
        raise MalformedJson(f"{named} holds more than {MAX_PARTS:,} objects and arrays.")
    try:
        value = json.loads(
            text.decode(),
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_float=_finite if _may_be_infinite(text) else None,
        )
        if b"\\ud" in text or b"\\uD" in text:
            # Only an escape can make half a surrogate pair, and only encoding finds it.
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError:
        raise MalformedJson(f"{named} is not UTF-8.") from None
    except UnicodeEncodeError:
        raise MalformedJson(f"{named} has half of a surrogate pair.") from None
    except json.JSONDecodeError as error:
        raise MalformedJson(f"{error.msg} at line {error.lineno}, column {error.colno}.") from None
    except RecursionError:
        raise _too_deep(named) from None
    except ValueError as error:
        raise MalformedJson(str(error) if isinstance(error, _Refused) else "An integer has too many digits.") from None
    if parts > MAX_DEPTH and _depth(text) > MAX_DEPTH:
        raise _too_deep(named)
    return value


class _Refused(ValueError):
    """A value that strict JSON does not have. The text is a sentence."""


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Refused("An object has the same member twice.")
    return members


def _refuse_constant(_name: str) -> None:
    raise _Refused("NaN and Infinity are not JSON.")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise _Refused("A number is too large.")
    return number


def _may_be_infinite(text: bytes) -> bool:
    return _EXPONENT.search(text) is not None or _MANY_DIGITS.search(text) is not None


def _depth(text: bytes) -> int:
    """How deep valid JSON is nested. Counted in its text: to walk through the value costs ten times as much."""
    return max(accumulate(array("b", _brackets(text))), default=0)


def _brackets(text: bytes) -> bytes:
    """A step for each bracket outside of texts, in their order."""
    # Without an escape every second piece is a text, which is found four times as fast.
    bare = _TEXT.sub(b"", text) if b"\\" in text else b"".join(text.split(b'"')[::2])
    return bare.translate(_STEP, _ALL_ELSE)


def _too_deep(named: str) -> MalformedJson:
    return MalformedJson(f"{named} is nested more than {MAX_DEPTH} deep.")
