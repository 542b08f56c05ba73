"""Bodies that cost most for their size: of any operation, at the size that it may have, and of the operations that take
them apart further. Nothing here is refused for its size alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def filled(size: int, head: bytes, unit: bytes, tail: bytes) -> bytes:
    """`unit` again and again, with commas, in a document of at most so many bytes."""
    times = (size - len(head) - len(tail)) // (len(unit) + 1)
    return head + b",".join([unit] * times) + tail


def members(size: int, head: bytes = b"{", tail: bytes = b"}", *, value: bytes = b"1") -> bytes:
    """As many members as fit, each with a name of its own."""
    names = (
        b'"%x":%b' % (at, value) for at in range(16**4, 16**4 + (size - len(head) - len(tail)) // (9 + len(value)))
    )
    return head + b",".join(names) + tail


def as_json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


# What is wrong with each is said by the operation, not by the parser: it was read to its end.
ANY_BODY: dict[str, Callable[[int], bytes]] = {
    "empty arrays": lambda size: filled(size, b'{"canary":[', b"[]", b"]}"),
    "empty objects": lambda size: filled(size, b'{"canary":[', b"{}", b"]}"),
    "small objects": lambda size: filled(size, b'{"canary":[', b'{"a":1}', b"]}"),
    "arrays 97 deep": lambda size: filled(size, b'{"canary":[', b"[" * 96 + b"]" * 96, b"]}"),
    "objects 97 deep": lambda size: filled(size, b'{"canary":[', b'{"":' * 96 + b"0" + b"}" * 96, b"]}"),
    "brackets in texts": lambda size: filled(size, b'{"canary":[', b'"["', b"]}"),
    "escaped quotes": lambda size: filled(size, b'{"canary":[[],[]' + b",[]" * 100 + b",", b'"\\""', b"]}"),
    "integers": lambda size: filled(size, b'{"canary":[', b"1", b"]}"),
    "fractions": lambda size: filled(size, b'{"canary":[', b".1".rjust(3, b"0"), b"]}"),
    "powers": lambda size: filled(size, b'{"canary":[', b"1e9", b"]}"),
    "great powers": lambda size: filled(size, b'{"canary":[', b"1e300", b"]}"),
    "long integers": lambda size: filled(size, b'{"canary":[', b"9" * 4300, b"]}"),
    "long fractions": lambda size: filled(size, b'{"canary":[', b"0." + b"9" * 300, b"]}"),
    "unknown fields": lambda size: members(size),
    "many members": lambda size: members(size, b'{"canary":{', b"}}"),
    "a long text": lambda size: b'{"canary":"' + b"x" * (size - 13) + b'"}',
    "a long name": lambda size: b'{"' + b"~" * (size - 6) + b'":1}',
    "escapes": lambda size: b'{"canary":"' + b"\\u0001" * (size // 6 - 3) + b'"}',
    "surrogate pairs": lambda size: b'{"canary":"' + b"\\ud83d\\ude00" * (size // 12 - 2) + b'"}',
    # These are no JSON for the service, which is found at their end.
    "a member twice at the end": lambda size: members(size - 20, b"{", b',"a":1,"a":1}'),
    "half a pair at the end": lambda size: filled(size - 10, b"[", b"[]", b',"\\ud800"]'),
    "an end that is missing": lambda size: filled(size, b"[", b"[]", b""),
    "too deep at the end": lambda size: filled(size - 300, b"[", b"[]", b"," + b"[" * 101 + b"]" * 102),
    "too large a number at the end": lambda size: filled(size - 10, b"[", b"0.1", b",1e400]"),
    "no UTF-8 at the end": lambda size: b'{"canary":"' + b"x" * (size - 14) + b'\xff"}',
}


def job(**fields: Any) -> dict[str, Any]:
    return {"type": "echo", **fields}


def nest(inner: Any, levels: int) -> Any:
    for _ in range(levels):
        inner = {"a": inner}
    return inner


ONES = [1] * 500_000
POINTERS = ["/a" * level for level in range(16)]
ALL_OF_IT = {"payload_pointers": POINTERS}
# Of one job. Some are taken: what a hostile tenant may do costs no more than what it may not.
JOBS: dict[str, Callable[[], bytes]] = {
    "a payload of integers": lambda: as_json(job(payload=ONES)),
    "a payload of empty arrays": lambda: filled(1_048_576, b'{"type":"echo","payload":[', b"[]", b"]}"),
    "a payload of members": lambda: members(1_040_000, b'{"type":"echo","payload":{', b"}}"),
    "a key out of a whole payload, 16 times": lambda: as_json(job(payload=nest(ONES, 15), unique=ALL_OF_IT)),
    "a key out of fractions": lambda: as_json(job(payload=[1.0] * 260_000, unique={"payload_pointers": [""]})),
    "a key out of members": lambda: as_json(
        job(payload={f"{at:x}": 1.5 for at in range(90_000)}, unique={"payload_pointers": [""]})
    ),
    "as many tags as fit": lambda: members(1_040_000, b'{"type":"echo","tags":{', b"}}", value=b'""'),
    "as many delays as fit": lambda: as_json(job(retry={"schedule_seconds": [1] * 500_000})),
    "pointers without an end": lambda: as_json(job(unique={"payload_pointers": ["/" * 500] * 2000})),
    "metadata too large": lambda: as_json(job(metadata=ONES)),
    "unknown fields of retry": lambda: members(1_040_000, b'{"type":"echo","retry":{', b"}}"),
    "a call with unknown fields": lambda: members(1_040_000, b'{"type":"http.request","payload":{', b"}}"),
    "a call with as many headers": lambda: members(
        1_040_000, b'{"type":"http.request","payload":{"headers":{', b"}}}", value=b'""'
    ),
    "a call with any status": lambda: as_json(
        job(type="http.request", payload={"url": "https://example.com", "expect_status": [200] * 250_000})
    ),
    "a call of a long address": lambda: as_json(job(type="http.request", payload={"url": "https://" + "a." * 500_000})),
    "a callback of many labels": lambda: as_json(job(callback_url="https://" + "xn--a." * 330 + "com")),
    "a callback of strange letters": lambda: as_json(job(callback_url="https://" + "\u0130\u0307" * 1000)),
}

# Of up to a thousand jobs, whose costs add up.
GROUPS: dict[str, Callable[[], bytes]] = {
    f"{mode}: {name}": lambda mode=mode, one=one, times=times: as_json({"mode": mode, "jobs": [one] * times})  # type: ignore[misc]
    for mode in ("partial", "atomic")
    for name, one, times in (
        ("unknown fields", {f"{at:x}": 1 for at in range(800)}, 1000),
        ("unknown tags", job(tags={f"{at}!": 1 for at in range(16)}, retry={"schedule_seconds": [-1] * 100}), 1000),
        ("no objects", 1, 1000),
        ("a key out of the payload, 16 times", job(payload=nest([1] * 3000, 15), unique=ALL_OF_IT), 1000),
        ("too large", job(payload="x" * 1_048_575, priority=11), 7),
        ("headers of calls", job(type="http.request", payload={"headers": {f"{at}": "" for at in range(51)}}), 1000),
    )
}
