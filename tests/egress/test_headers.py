from __future__ import annotations

import pytest

from jobservice.egress.headers import check_header_syntax, check_headers
from jobservice.errors import EgressRefused


@pytest.mark.parametrize(
    "name",
    [
        *(
            "Host",
            "HOST",
            "Content-Length",
            "Transfer-Encoding",
            "Connection",
            "Keep-Alive",
            "Upgrade",
            "TE",
            "Trailer",
        ),
        *("Expect", "Proxy-Authorization", "proxy-connection", "Webhook-Id", "webhook-signature", "WEBHOOK-ANYTHING"),
        *("", "a b", "a:", "a\r\nHost", "a\x00", "é", "a\t", " a", "a(", "x" * 257),
    ],
)
def test_tenant_cannot_set_a_header_that_is_malformed_or_ours(name: str) -> None:
    with pytest.raises(EgressRefused):
        check_headers({name: "x"})


@pytest.mark.parametrize(
    "value", ["a\r\nX: y", "a\nX: y", "a\r", "a\x00b", "\x0b", "\x7f", "é", "\u2028", "\ud800", "x" * 8191]
)
def test_header_value_cannot_start_a_line_or_hold_other_than_printable_ascii(value: str) -> None:
    with pytest.raises(EgressRefused):
        check_header_syntax({"X-A": value})


def test_header_cannot_be_given_twice_in_two_spellings() -> None:
    with pytest.raises(EgressRefused):
        check_header_syntax({"X-A": "1", "x-a": "2"})


def test_ordinary_headers_pass() -> None:
    check_headers({"Authorization": "Bearer x", "X-Api-Key": "a b\tc", "Content-Type": "application/json", "Empty": ""})


def test_service_itself_may_set_the_signature_headers_but_not_the_framing() -> None:
    check_header_syntax({"webhook-id": "evt_1", "webhook-signature": "v1,x"})
    with pytest.raises(EgressRefused):
        check_header_syntax({"Content-Length": "1"})
