"""Sealing: what opens, what must not, and that the format is the documented one."""

from __future__ import annotations

import os
import struct
import traceback
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from jobservice.crypto.envelope import OVERHEAD_BYTES, Place, TenantKey, open_sealed, seal, sealed_under
from jobservice.errors import KeyNotHeld, SealingError, Unreadable

KEY = TenantKey.generate(7)
KEYS = {7: KEY}
PLACE = Place(uuid4(), "attempt", "result", uuid4(), epoch=3)

places = st.builds(
    Place,
    tenant=st.uuids(),
    table=st.text(st.characters(codec="utf-8")),
    column=st.text(st.characters(codec="utf-8")),
    row=st.uuids(),
    epoch=st.none() | st.integers(0, 2**63 - 1),
    content_type=st.text(st.characters(codec="utf-8")),
)


@pytest.mark.deep
@given(plaintext=st.binary(max_size=3000), place=places, version=st.integers(1, 2**32 - 1))
def test_a_sealed_value_opens_at_its_place(plaintext: bytes, place: Place, version: int) -> None:
    key = TenantKey.generate(version)
    blob = seal(plaintext, key=key, place=place)
    assert len(blob) == len(plaintext) + OVERHEAD_BYTES
    assert open_sealed(blob, keys={version: key}, place=place) == plaintext


@pytest.mark.deep
@given(one=places, other=places)
def test_a_value_opens_at_no_other_place(one: Place, other: Place) -> None:
    blob = seal(b"1", key=KEY, place=one)
    if one == other:
        assert open_sealed(blob, keys=KEYS, place=other) == b"1"
    else:
        with pytest.raises(Unreadable):
            open_sealed(blob, keys=KEYS, place=other)


def test_the_overhead_is_87_bytes_and_an_empty_value_can_be_sealed() -> None:
    blob = seal(b"", key=KEY, place=PLACE)
    assert len(blob) == 87
    assert open_sealed(blob, keys=KEYS, place=PLACE) == b""


def test_every_bit_flip_is_refused() -> None:
    blob = seal(b"{}", key=KEY, place=PLACE)
    for position in range(len(blob) * 8):
        altered = bytearray(blob)
        altered[position // 8] ^= 1 << position % 8
        with pytest.raises(Unreadable):
            open_sealed(bytes(altered), keys=AnswersAlways(KEY), place=PLACE)


class AnswersAlways:
    """A careless lookup that gives one key for every version, so that a flipped version must be refused by itself."""

    def __init__(self, key: TenantKey) -> None:
        self.key = key

    def get(self, version: int, /) -> TenantKey:
        return self.key


CHANGES: dict[str, Callable[[Place], Place]] = {
    "tenant": lambda place: replace(place, tenant=uuid4()),
    "table": lambda place: replace(place, table="job_blob"),
    "column": lambda place: replace(place, column="error"),
    "row": lambda place: replace(place, row=uuid4()),
    "tenant and row exchanged": lambda place: replace(place, tenant=place.row, row=place.tenant),
    "table and column exchanged": lambda place: replace(place, table=place.column, column=place.table),
    "boundary between table and column": lambda place: replace(place, table="attemptr", column="esult"),
    "content type": lambda place: replace(place, content_type="text/plain"),
    "later epoch": lambda place: replace(place, epoch=4),
    "no epoch": lambda place: replace(place, epoch=None),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_blob_moved_to_another_place_is_refused(change: Callable[[Place], Place]) -> None:
    blob = seal(b"{}", key=KEY, place=PLACE)
    with pytest.raises(Unreadable, match="another place"):
        open_sealed(blob, keys=KEYS, place=change(PLACE))


def test_no_epoch_is_not_epoch_zero() -> None:
    blob = seal(b"{}", key=KEY, place=replace(PLACE, epoch=None))
    with pytest.raises(Unreadable):
        open_sealed(blob, keys=KEYS, place=replace(PLACE, epoch=0))


def test_another_tenants_key_is_refused_by_the_commitment() -> None:
    blob = seal(b"{}", key=KEY, place=PLACE)
    with pytest.raises(Unreadable, match="not sealed under this tenant's key"):
        open_sealed(blob, keys={7: TenantKey.generate(7)}, place=PLACE)


def test_a_key_version_that_is_not_there_is_named() -> None:
    blob = seal(b"{}", key=KEY, place=PLACE)
    with pytest.raises(KeyNotHeld, match="version 7"):
        open_sealed(blob, keys={8: TenantKey.generate(8)}, place=PLACE)


def test_a_blob_tells_its_key_version_and_what_was_never_sealed_tells_none() -> None:
    assert sealed_under(seal(b"1", key=KEY, place=PLACE)) == 7
    for other in (b"", b"J1\x01", b"K1\x01" + bytes(200), bytes(200)):
        with pytest.raises(Unreadable):
            sealed_under(other)


def test_old_versions_open_beside_the_new_one() -> None:
    new = TenantKey.generate(8)
    blobs = [seal(b"old", key=KEY, place=PLACE), seal(b"new", key=new, place=PLACE)]
    assert [open_sealed(blob, keys={7: KEY, 8: new}, place=PLACE) for blob in blobs] == [b"old", b"new"]


def test_every_truncation_is_refused() -> None:
    blob = seal(b"{}", key=KEY, place=PLACE)
    for length in range(len(blob)):
        with pytest.raises(Unreadable, match="truncated" if length < OVERHEAD_BYTES else "altered"):
            open_sealed(blob[:length], keys=KEYS, place=PLACE)


@pytest.mark.parametrize("extra", [b"\x00", b"J1", bytes(16), bytes(100)])
def test_an_extended_blob_is_refused(extra: bytes) -> None:
    with pytest.raises(Unreadable):
        open_sealed(seal(b"{}", key=KEY, place=PLACE) + extra, keys=KEYS, place=PLACE)


@given(blob=st.binary(max_size=300) | st.binary(max_size=300).map(lambda tail: b"J1\x01\x00\x00\x00\x07" + tail))
def test_bytes_that_were_never_sealed_are_refused(blob: bytes) -> None:
    with pytest.raises(Unreadable):
        open_sealed(blob, keys=KEYS, place=PLACE)


@pytest.mark.parametrize("start", [b"J2\x01", b"J1\x02", b"J1\x00", b"xx\x01"])
def test_an_unknown_format_is_said_to_come_from_a_newer_version(start: bytes) -> None:
    blob = start + seal(b"{}", key=KEY, place=PLACE)[3:]
    with pytest.raises(Unreadable, match="written by a newer version"):
        open_sealed(blob, keys=KEYS, place=PLACE)


def test_a_blob_shorter_than_the_overhead_in_an_unknown_format_is_not_called_truncated() -> None:
    with pytest.raises(Unreadable, match="written by a newer version"):
        open_sealed(b"J2\x01short", keys=KEYS, place=PLACE)


@pytest.mark.parametrize(("epoch", "epoch_field"), [(None, b"\x00"), (258, b"\x01" + bytes(6) + b"\x01\x02")])
def test_the_blob_is_the_documented_one(epoch: int | None, epoch_field: bytes) -> None:
    plaintext = b'{"n": 1}'
    place = replace(PLACE, epoch=epoch)
    blob = seal(plaintext, key=KEY, place=place)
    salt, commitment, sealed, tag = blob[7:39], blob[39:71], blob[71:-16], blob[-16:]
    derived = HKDF(SHA256(), 76, salt, b"jobservice/blob/v1").derive(KEY.secret)
    encryptor = Cipher(algorithms.AES256(derived[:32]), modes.GCM(derived[32:44])).encryptor()
    fields = [b"J1\x01", place.tenant.bytes, b"attempt", b"result", place.row.bytes, b"application/json", epoch_field]
    for field in fields:
        encryptor.authenticate_additional_data(struct.pack(">I", len(field)) + field)
    assert blob[:7] == b"J1\x01\x00\x00\x00\x07"
    assert commitment == derived[44:]
    assert sealed == encryptor.update(plaintext) + encryptor.finalize()
    assert tag == encryptor.tag


def test_a_forged_blob_under_a_known_key_but_without_its_commitment_is_refused() -> None:
    blob = seal(b"{}", key=KEY, place=PLACE)
    with pytest.raises(Unreadable, match="not sealed under"):
        open_sealed(blob[:39] + os.urandom(32) + blob[71:], keys=KEYS, place=PLACE)


def test_salts_differ_between_forked_processes() -> None:
    blobs = [_seal_in_child() for _ in range(20)]
    assert len({blob[7:39] for blob in blobs}) == 20
    assert all(open_sealed(blob, keys=KEYS, place=PLACE) == b"{}" for blob in blobs)


def _seal_in_child() -> bytes:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, seal(b"{}", key=KEY, place=PLACE))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        blob = stream.read()
    assert os.waitpid(child, 0)[1] == 0
    return blob


def test_one_value_sealed_twice_gives_unrelated_blobs() -> None:
    one, two = (seal(b"{}", key=KEY, place=PLACE) for _ in range(2))
    assert one[7:39] != two[7:39]
    assert one[39:71] != two[39:71]
    assert one[71:] != two[71:]


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_key_of_another_length_is_refused_without_showing_it(length: int) -> None:
    secret = os.urandom(length)
    with pytest.raises(SealingError, match=f"{length} bytes") as caught:
        TenantKey(1, secret)
    assert repr(secret)[2:-1] not in str(caught.value) or not secret


@pytest.mark.parametrize("version", [-1, 0, 2**32])
def test_a_key_version_that_the_blob_cannot_hold_is_refused(version: int) -> None:
    with pytest.raises(SealingError, match="version"):
        TenantKey.generate(version)


def test_no_repr_and_no_refusal_shows_the_secret_or_the_plaintext() -> None:
    key = TenantKey(1, b"K" * 32)
    blob = seal(b"canary", key=key, place=PLACE)
    with pytest.raises(Unreadable) as caught:
        open_sealed(blob, keys={1: key}, place=replace(PLACE, row=UUID(int=0)))
    shown = f"{key!r} {key} {[key]} {''.join(traceback.format_exception(caught.value))} {caught.value!r}"
    assert "KKKK" not in shown
    assert "canary" not in shown
    assert caught.value.__suppress_context__
