"""Whatever headers and paths a tenant thinks of: refused, or on the wire just as given, once, and with nothing more."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jobservice.egress.client import EgressClient, EgressRequest
from jobservice.egress.failures import EgressFailed
from jobservice.egress.headers import check_headers
from jobservice.errors import EgressRefused
from tests.egress.servers import LOCAL, PATIENCE_SECONDS, Peer, fixed, peer

pytestmark = pytest.mark.deep

OK = fixed(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
DEFAULTS = {"host", "user-agent", "accept", "accept-encoding", "connection", "content-length"}
NASTY = "\r\n\x00\t :;,\x0b\x0c\x1f\x7f\x80\xff\u010a\u010d\u2028\ud800aZ0-_"
NAMES = (
    *("X-A", "x-a", "X_A", "Host", "host", "Content-Length", "Content_Length", "Transfer-Encoding", "TE", "Trailer"),
    *("Connection", "Keep-Alive", "Upgrade", "Expect", "HTTP2-Settings", "Proxy-Authorization", "Proxy_Connection"),
    *("webhook-id", "Webhook_Signature", "Job-Via", "job_via", "Content-Type", "Content-Encoding", "Cookie", "Accept"),
    *("Authorization", "User-Agent", "Accept-Encoding", "Range", "Forwarded", "Date", "Via", ":path", ":authority"),
)

names = st.one_of(
    st.sampled_from(NAMES), st.text(NASTY, max_size=6), st.builds(str.__add__, st.just("X-A"), st.text(NASTY))
)
values = st.one_of(
    st.sampled_from(
        ["1", "chunked", "close", "gzip", "100-continue", "a\r\nX-B: 1", "a\n\nGET / HTTP/1.1", "a\x00b", " ", ""]
    ),
    st.text(NASTY, max_size=12),
)


async def send(headers: dict[str, str], path: str = "/", method: str = "POST") -> Peer:
    async with peer(OK) as listener, EgressClient(LOCAL, mark="a" * 32) as client:
        await client.send(EgressRequest(method, listener.url(path), headers, b"body", timeout_seconds=PATIENCE_SECONDS))
        return listener


@settings(max_examples=200)
@given(st.dictionaries(names, values, max_size=4))
@example({"X-A": "1\r\nX-B: 2"})
@example({"X-A": "1\nX-B: 2"})
@example({"X-A": "1\x00"})
@example({"X-A": "\u010a"})
@example({"X-A": "1", "x-a": "2"})
@example({"X-A": "1", "X_A": "2"})
@example({"Content-Encoding": "gzip", "Content-Type": "text/plain", "Accept": "x", "Date": "x", "Range": "bytes=0-"})
def test_headers_are_refused_or_sent_as_they_are(headers: dict[str, str]) -> None:
    try:
        check_headers(headers)
    except EgressRefused:
        return
    listener = asyncio.run(send(headers))
    assert len(listener.requests) == 1
    head = listener.requests[0].removesuffix(b"\r\n\r\n").split(b"\r\n")
    assert head[0] == b"POST / HTTP/1.1"
    arrived = [line.partition(b": ")[::2] for line in head[1:]]
    sent = {name.lower(): value for name, value in headers.items() if name.lower() != "accept-encoding"}
    assert len({name.lower() for name, _ in arrived}) == len(arrived)
    for name, value in arrived:
        known = name.decode("ascii").lower()
        assert known in DEFAULTS | {"job-via", *sent}
        if known in sent:
            assert value.strip(b" \t") == sent[known].encode("ascii").strip(b" \t")
    assert {name.decode("ascii").lower() for name, _ in arrived} >= sent.keys() | DEFAULTS


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_frames_a_request_or_is_the_services_own_is_refused_in_every_spelling(name: str) -> None:
    reserved = {
        *("host", "content-length", "transfer-encoding", "te", "trailer", "connection", "keep-alive", "upgrade"),
        *("expect", "http2-settings", "proxy-authorization", "proxy-connection", "job-via"),
        *("webhook-id", "webhook-signature", ":path", ":authority"),
    }
    is_refused = name.lower().replace("_", "-") in reserved
    for spelled in (name, name.upper(), name.lower(), name.replace("-", "_")):
        try:
            check_headers({spelled: "1"})
        except EgressRefused:
            assert is_refused, spelled
        else:
            assert not is_refused, spelled


def test_our_mark_and_no_wish_for_packed_answers_go_out_whatever_the_headers_say() -> None:
    listener = asyncio.run(send({"job-via": "forged", "Accept-Encoding": "gzip, br"}))
    assert listener.requests[0].lower().count(b"job-via:") == 1
    assert listener.requests[0].lower().count(b"accept-encoding:") == 1
    assert b"\r\nAccept-Encoding: identity\r\n" in listener.requests[0]
    assert b"\r\nJob-Via: " + b"a" * 32 + b"\r\n" in listener.requests[0]


@pytest.mark.parametrize(
    "path",
    [
        "/a\r\nX-B: 1",
        "/a HTTP/1.1\r\nHost: x\r\n\r\nGET /b",
        "/a\nb",
        "/a\x00b",
        "/a\tb",
        "/a\u2028b",
        "/a\x85b",
        "/a\ud800b",
        "/a b",
        "/a\\b",
    ],
)
def test_a_path_that_would_end_its_line_is_refused(path: str) -> None:
    with pytest.raises(EgressFailed) as caught:
        asyncio.run(send({}, path))
    assert caught.value.error_class == "refused"


@pytest.mark.parametrize("path", ["/a%0d%0aX-B:%201", "/a%00b", "/é%20\u4e2d", "/?q=%0a", "/a%5c%2e%2e", "//x/../y;z"])
def test_a_path_that_is_taken_stays_one_line_of_ascii(path: str) -> None:
    listener = asyncio.run(send({}, path))
    line = listener.requests[0].split(b"\r\n")[0]
    assert line.startswith(b"POST /")
    assert line.endswith(b" HTTP/1.1")
    assert line.count(b" ") == 2
    assert line.isascii()
    assert len(listener.requests) == 1


@pytest.mark.parametrize("method", ["get", "TRACE", "CONNECT", "GET\r\nX: y", "GET /x", "", "PRI", "É"])
def test_only_known_methods_are_sent(method: str) -> None:
    with pytest.raises(EgressFailed) as caught:
        asyncio.run(send({}, method=method))
    assert caught.value.error_class == "refused"
