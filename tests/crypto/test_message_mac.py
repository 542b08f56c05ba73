"""Broker messages: a signed one is read back, anything else is refused with a reason and never breaks the reader."""

from __future__ import annotations

import copy
import json
import os
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobservice.crypto.message_mac import (
    MAX_REFS,
    MessageKey,
    MessageRefused,
    Ref,
    decode_message,
    encode_message,
    sign_refs,
    verify_refs,
)

KEY = MessageKey((os.urandom(32),))
REFS = (Ref(uuid4(), uuid4(), 1), Ref(uuid4(), uuid4(), 2**63 - 1))

refs = st.lists(st.builds(Ref, st.uuids(), st.uuids(), st.integers(0, 2**63 - 1)), min_size=1, max_size=5)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["jobs.run", "a" * 32])
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)


def message() -> dict[str, Any]:
    return encode_message("jobs.run", REFS, KEY)


def reason(payload: object, key: MessageKey = KEY) -> str:
    with pytest.raises(MessageRefused) as caught:
        decode_message(payload, key)
    return caught.value.reason


@pytest.mark.deep
@given(refs=refs, kind=st.from_regex(r"[a-z][a-z0-9._-]{0,63}", fullmatch=True))
def test_a_message_survives_the_wire(refs: list[Ref], kind: str) -> None:
    wire = json.dumps(encode_message(kind, refs, KEY))
    read = decode_message(json.loads(wire), KEY)
    assert (read.kind, read.refs) == (kind, tuple(refs))


def test_a_message_holds_ids_epochs_and_a_mac_only() -> None:
    tenant, job = uuid4(), uuid4()
    written = encode_message("jobs.run", [Ref(tenant, job, 5)], KEY)
    mac = written.pop("mac")
    assert written == {"v": 1, "kind": "jobs.run", "refs": [[tenant.hex, job.hex, 5]]}
    assert mac == sign_refs(KEY, "jobs.run", [Ref(tenant, job, 5)])


def test_a_message_signed_before_a_rotation_is_read_after_it() -> None:
    rotated = MessageKey((os.urandom(32), *KEY.secrets))
    assert decode_message(message(), rotated).refs == REFS
    assert reason(encode_message("jobs.run", REFS, rotated)) == "bad-mac"


def test_another_key_is_refused() -> None:
    assert reason(message(), MessageKey((os.urandom(32),))) == "bad-mac"


CHANGES: dict[str, tuple[tuple[str | int, ...], object]] = {
    "kind": (("kind",), "jobs.ruin"),
    "tenant": (("refs", 0, 0), uuid4().hex),
    "id": (("refs", 0, 1), uuid4().hex),
    "epoch": (("refs", 0, 2), 2),
    "order": (("refs",), [[ref.tenant_id.hex, ref.id.hex, ref.epoch] for ref in reversed(REFS)]),
    "fewer": (("refs",), [[REFS[0].tenant_id.hex, REFS[0].id.hex, 1]]),
    "mac": (("mac",), "0" * 64),
}


def changed(path: tuple[str | int, ...], value: object) -> dict[str, Any]:
    altered = copy.deepcopy(message())
    place: Any = altered
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return altered


@pytest.mark.parametrize(("path", "value"), CHANGES.values(), ids=CHANGES.keys())
def test_any_change_to_a_signed_message_breaks_its_mac(path: tuple[str | int, ...], value: object) -> None:
    assert reason(changed(path, value)) == "bad-mac"


@pytest.mark.parametrize("version", [0, 2, -1, 10**30])
def test_an_unknown_version_is_told_apart_even_when_the_rest_has_another_form(version: int) -> None:
    assert reason({"v": version, "jobs": []}) == "unknown-version"


MALFORMED: dict[str, tuple[tuple[str | int, ...], object]] = {
    "true as version": (("v",), True),
    "version as float": (("v",), 1.0),
    "kind with a lone surrogate": (("kind",), "jobs\ud800"),
    "kind with a line end": (("kind",), "jobs.run\n"),
    "kind as list": (("kind",), ["jobs.run"]),
    "mac of non-ASCII digits": (("mac",), "\u0661" * 64),
    "mac as number": (("mac",), 0),
    "short mac": (("mac",), "00"),
    "capitals in mac": (("mac",), "A" * 64),
    "refs as text": (("refs",), "ab"),
    "no refs": (("refs",), []),
    "too many refs": (("refs",), [[UUID(int=0).hex, UUID(int=0).hex, 1]] * (MAX_REFS + 1)),
    "ref as object": (("refs", 0), {"tenant": 1}),
    "ref of two": (("refs", 0), [UUID(int=0).hex, UUID(int=0).hex]),
    "ref of four": (("refs", 0), [UUID(int=0).hex, UUID(int=0).hex, 1, 1]),
    "another spelling of an id": (("refs", 0, 0), str(REFS[0].tenant_id)),
    "id as number": (("refs", 0, 1), 7),
    "true as epoch": (("refs", 0, 2), True),
    "epoch as float": (("refs", 0, 2), 1.0),
    "negative epoch": (("refs", 0, 2), -1),
    "epoch beyond bigint": (("refs", 0, 2), 2**63),
    "one field more": (("extra",), 1),
}


@pytest.mark.parametrize(("path", "value"), MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_message_is_refused(path: tuple[str | int, ...], value: object) -> None:
    assert reason(changed(path, value)) == "malformed"


@pytest.mark.parametrize("field", ["v", "kind", "refs", "mac"])
def test_a_message_without_one_of_its_fields_is_refused(field: str) -> None:
    incomplete = message()
    del incomplete[field]
    assert reason(incomplete) == "malformed"


@pytest.mark.deep
@given(payload=json_values)
def test_no_json_value_does_anything_but_be_refused(payload: object) -> None:
    assert reason(payload)


@pytest.mark.deep
@given(payload=st.fixed_dictionaries({"v": st.just(1), "kind": json_values, "refs": json_values, "mac": json_values}))
def test_no_value_of_the_right_outline_does_anything_but_be_refused(payload: object) -> None:
    assert reason(payload)


@given(
    path=st.sampled_from(
        [
            ("v",),
            ("kind",),
            ("mac",),
            ("refs",),
            ("refs", 0),
            ("refs", 1),
            ("refs", 0, 0),
            ("refs", 0, 1),
            ("refs", 0, 2),
        ]
    ),
    value=json_values,
)
def test_no_value_put_into_a_signed_message_does_anything_but_be_refused(
    path: tuple[str | int, ...], value: object
) -> None:
    altered = changed(path, value)
    same = json.dumps(altered) == json.dumps(message())
    assert same or reason(altered)


@pytest.mark.parametrize(
    ("kind", "refs"),
    [("", REFS), ("Jobs", REFS), ("j\ud800", REFS), ("jobs", ()), ("jobs", REFS[:1] * (MAX_REFS + 1))]
    + [("jobs", (Ref(uuid4(), uuid4(), epoch),)) for epoch in (-1, 2**63)],
)
def test_what_could_not_be_read_is_not_written(kind: str, refs: tuple[Ref, ...]) -> None:
    with pytest.raises(ValueError, match="1 to 1000 refs"):
        encode_message(kind, refs, KEY)


def test_a_mac_is_verified_apart_from_a_message() -> None:
    mac = sign_refs(KEY, "jobs.run", REFS)
    assert verify_refs(KEY, "jobs.run", REFS, mac)
    assert not verify_refs(KEY, "jobs.run", REFS[:1], mac)
    assert not verify_refs(KEY, "deliver", REFS, mac)


def test_no_repr_and_no_refusal_shows_the_secret() -> None:
    key = MessageKey((b"M" * 32,))
    with pytest.raises(MessageRefused) as caught:
        decode_message(message(), key)
    assert "MMMM" not in f"{key!r} {key} {caught.value!r} {caught.value}"
