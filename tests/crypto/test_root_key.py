"""Wrapping of tenants' secrets under the root key."""

from __future__ import annotations

import os
import struct
import traceback
from typing import TypedDict
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from jobservice.crypto.root_key import RootKeyring, fingerprint_version, wrapped_under
from jobservice.errors import SealingError, Unavailable, Unreadable


class Binding(TypedDict):
    tenant: UUID
    purpose: str
    version: int


BINDING = Binding(tenant=uuid4(), purpose="data", version=4)
SECRET = os.urandom(32)


@pytest.fixture
def keyring() -> RootKeyring:
    return RootKeyring({1: os.urandom(32), 2: os.urandom(32)})


def test_a_wrapped_secret_unwraps_and_names_the_newest_root_key(keyring: RootKeyring) -> None:
    wrapped = keyring.wrap(SECRET, **BINDING)
    assert wrapped_under(wrapped) == 2
    assert keyring.unwrap(wrapped, **BINDING) == SECRET


def test_a_secret_wrapped_before_a_rotation_still_unwraps(keyring: RootKeyring) -> None:
    wrapped = keyring.wrap(SECRET, **BINDING)
    rotated = RootKeyring({**keyring.secrets, 3: os.urandom(32)})
    assert rotated.unwrap(wrapped, **BINDING) == SECRET
    assert wrapped_under(rotated.wrap(SECRET, **BINDING)) == 3


def test_a_root_version_this_process_has_not_loaded_is_unavailable_not_unreadable(keyring: RootKeyring) -> None:
    wrapped = RootKeyring({3: os.urandom(32)}).wrap(SECRET, **BINDING)
    with pytest.raises(Unavailable, match="version 3"):
        keyring.unwrap(wrapped, **BINDING)


@pytest.mark.parametrize(
    "other",
    [
        Binding(tenant=uuid4(), purpose="data", version=4),
        Binding(tenant=BINDING["tenant"], purpose="index", version=4),
        Binding(tenant=BINDING["tenant"], purpose="data", version=5),
    ],
    ids=["tenant", "purpose", "version"],
)
def test_a_wrapped_secret_moved_elsewhere_is_refused(keyring: RootKeyring, other: Binding) -> None:
    with pytest.raises(Unreadable, match="belongs elsewhere"):
        keyring.unwrap(keyring.wrap(SECRET, **BINDING), **other)


def test_another_root_key_under_the_same_version_is_refused(keyring: RootKeyring) -> None:
    with pytest.raises(Unreadable, match="another root key"):
        RootKeyring({2: os.urandom(32)}).unwrap(keyring.wrap(SECRET, **BINDING), **BINDING)


def test_every_bit_flip_of_a_wrapped_secret_is_refused(keyring: RootKeyring) -> None:
    wrapped = keyring.wrap(SECRET, **BINDING)
    for position in range(len(wrapped) * 8):
        altered = bytearray(wrapped)
        altered[position // 8] ^= 1 << position % 8
        with pytest.raises((Unreadable, Unavailable)):
            keyring.unwrap(bytes(altered), **BINDING)


def test_every_truncation_and_an_extension_are_refused(keyring: RootKeyring) -> None:
    wrapped = keyring.wrap(SECRET, **BINDING)
    for length in range(len(wrapped)):
        with pytest.raises(Unreadable, match="truncated" if length < len(wrapped) - len(SECRET) else "altered"):
            keyring.unwrap(wrapped[:length], **BINDING)
    with pytest.raises(Unreadable, match="altered"):
        keyring.unwrap(wrapped + b"\x00", **BINDING)


@pytest.mark.parametrize("start", [b"K2\x01", b"K1\x03", b"J1\x01"])
def test_an_unknown_format_is_said_to_come_from_a_newer_version(keyring: RootKeyring, start: bytes) -> None:
    with pytest.raises(Unreadable, match="written by a newer version"):
        keyring.unwrap(start + keyring.wrap(SECRET, **BINDING)[3:], **BINDING)


def test_what_another_provider_wrapped_is_said_to_be_so(keyring: RootKeyring) -> None:
    with pytest.raises(Unreadable, match="not of this provider"):
        keyring.unwrap(b"K1\x02" + keyring.wrap(SECRET, **BINDING)[3:], **BINDING)


def test_the_wrapped_form_is_the_documented_one(keyring: RootKeyring) -> None:
    wrapped = keyring.wrap(SECRET, **BINDING)
    encryptor = Cipher(algorithms.AES256(keyring.secrets[2]), modes.GCM(wrapped[7:19])).encryptor()
    for field in (b"tk/v1", BINDING["tenant"].bytes, b"data", b"\x00\x00\x00\x04"):
        encryptor.authenticate_additional_data(struct.pack(">I", len(field)) + field)
    sealed = encryptor.update(SECRET) + encryptor.finalize()
    assert wrapped == b"K1\x01\x00\x00\x00\x02" + wrapped[7:19] + sealed + encryptor.tag


def test_a_secret_wrapped_twice_never_repeats_its_nonce(keyring: RootKeyring) -> None:
    assert len({keyring.wrap(SECRET, **BINDING)[7:19] for _ in range(50)}) == 50


def test_the_fingerprint_is_stable_and_tells_keys_apart(keyring: RootKeyring) -> None:
    same = RootKeyring(dict(keyring.secrets))
    wrong = RootKeyring({1: keyring.secrets[1], 2: os.urandom(32)})
    assert keyring.fingerprint() == same.fingerprint()
    assert same.recognises(keyring.fingerprint())
    assert not wrong.recognises(keyring.fingerprint())


def test_a_fingerprint_stored_before_a_rotation_is_recognised_until_its_key_is_gone(keyring: RootKeyring) -> None:
    stored = keyring.fingerprint()
    rotated = {**keyring.secrets, 3: os.urandom(32)}
    assert RootKeyring(rotated).fingerprint() != stored
    assert RootKeyring(rotated).recognises(stored)
    assert not RootKeyring({3: rotated[3]}).recognises(stored)


def test_a_key_filed_under_another_version_is_not_recognised(keyring: RootKeyring) -> None:
    assert not RootKeyring({5: keyring.secrets[2]}).recognises(keyring.fingerprint())


def test_the_fingerprint_is_an_hmac_that_holds_no_key_byte(keyring: RootKeyring) -> None:
    mac = HMAC(keyring.secrets[2], SHA256())
    mac.update(b"jobservice/root-key/fingerprint/v1")
    assert keyring.fingerprint() == f"2:{mac.finalize().hex()}"


@pytest.mark.parametrize("secrets", [{}, {1: b""}, {1: b"K" * 31}, {1: b"K" * 32, 2: b"K" * 33}])
def test_a_keyring_without_keys_or_with_a_wrong_length_is_refused(secrets: dict[int, bytes]) -> None:
    with pytest.raises(SealingError, match="32 bytes") as caught:
        RootKeyring(secrets)
    assert "KKK" not in str(caught.value)


def test_a_keyring_does_not_change_with_the_mapping_it_was_made_from() -> None:
    secrets = {1: os.urandom(32)}
    keyring = RootKeyring(secrets)
    secrets[2] = os.urandom(32)
    assert keyring.current_version == 1


def test_no_repr_and_no_refusal_shows_a_secret() -> None:
    keyring = RootKeyring({1: b"R" * 32})
    wrapped = keyring.wrap(b"canary", **BINDING)
    with pytest.raises(Unreadable) as caught:
        keyring.unwrap(wrapped, tenant=uuid4(), purpose="data", version=4)
    shown = f"{keyring!r} {keyring} {''.join(traceback.format_exception(caught.value))}"
    assert "RRRR" not in shown
    assert "5252" not in shown
    assert "canary" not in shown


def test_a_keyring_up_to_a_version_wraps_under_it_and_leaves_the_whole_one_as_it_was(keyring: RootKeyring) -> None:
    wrapped = keyring.up_to(1).wrap(SECRET, **BINDING)
    assert wrapped_under(wrapped) == 1
    assert keyring.unwrap(wrapped, **BINDING) == SECRET
    assert keyring.current_version == 2
    assert sorted(keyring.up_to(7).secrets) == [1, 2]


def test_a_keyring_that_lacks_every_version_asked_for_is_refused(keyring: RootKeyring) -> None:
    with pytest.raises(SealingError, match="at least one key"):
        keyring.up_to(0)


def test_a_fingerprint_names_its_version(keyring: RootKeyring) -> None:
    assert fingerprint_version(keyring.fingerprint()) == 2
    assert fingerprint_version(keyring.up_to(1).fingerprint()) == 1
