"""The text form of API keys."""

from __future__ import annotations

import hashlib
import re
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.api_key_format import NewApiKey, matches, new_api_key, parse_api_key

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def with_checksum(body: str) -> str:
    number = zlib.crc32(body.encode())
    return body + "".join(BASE62[number // 62**power % 62] for power in range(5, -1, -1))


@pytest.fixture
def key() -> NewApiKey:
    return new_api_key()


def test_a_new_key_has_the_documented_form(key: NewApiKey) -> None:
    match = re.fullmatch(r"js_live_([0-9A-Za-z]{12})_([0-9A-Za-z]{43})([0-9A-Za-z]{6})", key.text)
    assert match is not None
    assert match[1] == key.lookup_id
    assert hashlib.sha256(match[2].encode()).digest() == key.secret_hash
    assert with_checksum(key.text[:-6]) == key.text


def test_a_new_key_parses_and_matches_what_was_stored(key: NewApiKey) -> None:
    parsed = parse_api_key(key.text)
    assert parsed is not None
    assert parsed.lookup_id == key.lookup_id
    assert matches(parsed, key.secret_hash)


def test_another_keys_secret_does_not_match(key: NewApiKey) -> None:
    parsed = parse_api_key(key.text)
    assert parsed is not None
    assert not matches(parsed, new_api_key().secret_hash)
    assert not matches(parsed, b"")


def test_new_keys_share_neither_id_nor_secret() -> None:
    keys = [new_api_key() for _ in range(200)]
    assert len({key.lookup_id for key in keys}) == 200
    assert len({key.secret_hash for key in keys}) == 200


def test_every_character_can_occur_in_a_key() -> None:
    assert set("".join(new_api_key().text[8:] for _ in range(200))) == {*BASE62, "_"}


@given(position=st.integers(0, 69), character=st.sampled_from([*BASE62, "_", "-", " ", "é"]))
def test_a_key_with_one_wrong_character_is_refused(position: int, character: str) -> None:
    text = new_api_key().text
    altered = text[:position] + character + text[position + 1 :]
    assert (parse_api_key(altered) is None) == (altered != text)


def test_two_exchanged_neighbours_are_refused(key: NewApiKey) -> None:
    for position in range(len(key.text) - 1):
        altered = key.text[:position] + key.text[position + 1] + key.text[position] + key.text[position + 2 :]
        assert altered == key.text or parse_api_key(altered) is None


@pytest.mark.parametrize(
    "body",
    [
        f"js_test_{'a' * 12}_{'b' * 43}",
        f"JS_LIVE_{'a' * 12}_{'b' * 43}",
        f"js_live_{'a' * 11}_{'b' * 43}",
        f"js_live_{'a' * 13}_{'b' * 43}",
        f"js_live_{'a' * 12}_{'b' * 42}",
        f"js_live_{'a' * 12}_{'b' * 44}",
        f"js_live_{'a' * 12}{'b' * 44}",
        f"js_live_{'é' * 12}_{'b' * 43}",
        f"js_live_{'٣' * 12}_{'b' * 43}",
        "",
    ],
)
def test_another_form_is_refused_even_with_a_right_checksum(body: str) -> None:
    assert parse_api_key(with_checksum(body)) is None


def test_a_well_formed_key_with_a_right_checksum_is_read() -> None:
    assert parse_api_key(with_checksum(f"js_live_{'a' * 12}_{'b' * 43}")) is not None


@pytest.mark.parametrize("around", ["{}\n", " {}", "{} ", "Bearer {}", "{}\x00"])
def test_a_key_with_anything_around_it_is_refused(key: NewApiKey, around: str) -> None:
    assert parse_api_key(around.format(key.text)) is None


@given(text=st.text())
def test_no_other_text_is_a_key(text: str) -> None:
    assert parse_api_key(text) is None


def test_a_small_checksum_is_padded_with_zeros() -> None:
    bodies = (f"js_live_{number:012d}_{'s' * 43}" for number in range(10_000))
    body = next(body for body in bodies if zlib.crc32(body.encode()) < 62**5)
    assert with_checksum(body)[-6] == "0"
    assert parse_api_key(with_checksum(body)) is not None
    assert parse_api_key(body + with_checksum(body)[-5:]) is None


def test_no_repr_shows_the_secret_or_its_hash(key: NewApiKey) -> None:
    parsed = parse_api_key(key.text)
    shown = f"{key!r} {key} {parsed!r} {parsed}"
    assert key.lookup_id in shown
    assert key.text[21:40] not in shown
    assert "secret" not in shown
    assert repr(key.secret_hash) not in shown
