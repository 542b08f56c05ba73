"""Keyed hashes: one value per (key, purpose, parts), and no two different lists of parts alike."""

from __future__ import annotations

import os

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from hypothesis import given
from hypothesis import strategies as st

from jobservice.crypto.keyed_hash import keyed_hash
from jobservice.errors import SealingError

KEY = os.urandom(32)


def test_the_hash_is_hmac_sha256_of_the_framed_parts() -> None:
    mac = HMAC(KEY, SHA256())
    for field in (b"jobservice/keyed-hash/v1", b"unique", b"invoice-42", b""):
        mac.update(len(field).to_bytes(4, "big") + field)
    assert keyed_hash(KEY, "unique", b"invoice-42", b"") == mac.finalize()


def test_another_purpose_or_another_tenants_key_gives_another_hash() -> None:
    hashes = {keyed_hash(KEY, "unique", b"a"), keyed_hash(KEY, "idempotency", b"a")}
    assert len(hashes | {keyed_hash(os.urandom(32), "unique", b"a")}) == 3


@given(one=st.lists(st.binary(max_size=6), max_size=4), other=st.lists(st.binary(max_size=6), max_size=4))
def test_hashes_are_equal_only_for_equal_parts(one: list[bytes], other: list[bytes]) -> None:
    assert (keyed_hash(KEY, "unique", *one) == keyed_hash(KEY, "unique", *other)) == (one == other)


@pytest.mark.parametrize(("one", "other"), [((b"ab", b"c"), (b"a", b"bc")), ((b"a",), (b"a", b"")), ((b"",), ())])
def test_moving_a_boundary_between_parts_gives_another_hash(one: tuple[bytes, ...], other: tuple[bytes, ...]) -> None:
    assert keyed_hash(KEY, "unique", *one) != keyed_hash(KEY, "unique", *other)


@pytest.mark.parametrize("length", [0, 31, 64])
def test_an_index_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(SealingError, match=f"{length} bytes"):
        keyed_hash(os.urandom(length), "unique", b"a")
