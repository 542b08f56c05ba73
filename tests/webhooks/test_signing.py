"""Webhook signatures, judged by the public `standardwebhooks` package."""

from __future__ import annotations

import base64
import json
import os
import time
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from jobservice.errors import SealingError
from jobservice.webhooks.signing import sign, signed_headers
from tenants.signing_secrets import new_secret

BODY = json.dumps({"type": "job.completed", "data": {"name": "Zoë"}}, ensure_ascii=False).encode()
MESSAGE_ID = f"evt_{uuid4().hex}"


def headers(*secrets: str, body: bytes = BODY, age_seconds: int = 0) -> dict[str, str]:
    return signed_headers(secrets, message_id=MESSAGE_ID, timestamp=int(time.time()) - age_seconds, body=body)


def test_the_public_library_verifies_our_signature() -> None:
    secret = new_secret()
    assert Webhook(secret).verify(BODY, headers(secret)) == json.loads(BODY)


@given(body=st.text(st.characters(codec="utf-8")), secret=st.binary(min_size=24, max_size=64))
def test_the_public_library_verifies_any_text_under_any_allowed_secret(body: str, secret: bytes) -> None:
    text = "whsec_" + base64.b64encode(secret).decode()
    Webhook(text).verify(body.encode(), headers(text, body=body.encode()), json_parse=False)


def test_old_and_new_secret_both_verify_during_a_rotation() -> None:
    old, new = new_secret(), new_secret()
    signed = headers(new, old)
    assert [part.partition(",")[0] for part in signed["webhook-signature"].split(" ")] == ["v1", "v1"]
    for secret in (old, new):
        Webhook(secret).verify(BODY, signed)
    with pytest.raises(WebhookVerificationError, match="No matching signature"):
        Webhook(new_secret()).verify(BODY, signed)


@pytest.mark.parametrize(
    ("altered", "body"),
    [("webhook-id", BODY), ("webhook-timestamp", BODY), (None, BODY + b" ")],
    ids=["id", "timestamp", "body"],
)
def test_an_altered_delivery_does_not_verify(altered: str | None, body: bytes) -> None:
    secret = new_secret()
    # Of now, and not of when the tests were collected.
    others = {"webhook-id": "evt_other", "webhook-timestamp": str(int(time.time()) + 60)}
    change = {} if altered is None else {altered: others[altered]}
    with pytest.raises(WebhookVerificationError, match="No matching signature"):
        Webhook(secret).verify(body, headers(secret) | change)


def test_an_old_delivery_does_not_verify() -> None:
    secret = new_secret()
    with pytest.raises(WebhookVerificationError, match="too old"):
        Webhook(secret).verify(BODY, headers(secret, age_seconds=301))


def test_the_headers_are_the_three_of_the_standard() -> None:
    secret = new_secret()
    signature = sign([secret], message_id="evt_1", timestamp=1_700_000_000, body=BODY)
    assert signed_headers([secret], message_id="evt_1", timestamp=1_700_000_000, body=BODY) == {
        "webhook-id": "evt_1",
        "webhook-timestamp": "1700000000",
        "webhook-signature": signature,
    }


def test_a_new_secret_is_32_random_bytes() -> None:
    one, two = new_secret(), new_secret()
    assert one != two
    assert one.startswith("whsec_")
    assert len(base64.b64decode(one.removeprefix("whsec_"), validate=True)) == 32


def encoded(length: int) -> str:
    return base64.b64encode(os.urandom(length)).decode()


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param("", id="empty"),
        pytest.param("whsec_", id="bare"),
        pytest.param(encoded(32), id="no prefix"),
        pytest.param("whpk_" + encoded(32), id="other kind"),
        pytest.param("whsec_" + encoded(23), id="short"),
        pytest.param("whsec_" + encoded(65), id="long"),
        pytest.param("whsec_" + encoded(32)[:-1], id="no padding"),
        pytest.param("whsec_" + "!" * 44, id="not base64"),
        pytest.param("whsec_\n" + encoded(32), id="line end"),
        pytest.param("whsec_" + "é" * 44, id="not ascii"),
    ],
)
def test_a_malformed_secret_is_refused_without_showing_it(secret: str) -> None:
    with pytest.raises(SealingError) as caught:
        sign([new_secret(), secret], message_id="evt_1", timestamp=1, body=b"")
    assert len(secret) < 7 or secret[6:] not in f"{caught.value!r}"
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_nothing_is_sent_unsigned() -> None:
    with pytest.raises(SealingError, match="unsigned"):
        sign([], message_id="evt_1", timestamp=1, body=b"")


@pytest.mark.parametrize("message_id", ["", "evt.1", "evt 1", "evt\r\nx: y", "evt_1\n", "é", "a" * 201])
def test_an_id_that_could_shift_the_signed_text_or_a_header_is_refused(message_id: str) -> None:
    with pytest.raises(ValueError, match="webhook id"):
        sign([new_secret()], message_id=message_id, timestamp=1, body=b"")
