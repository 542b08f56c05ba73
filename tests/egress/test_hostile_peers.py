"""Peers that lead elsewhere, swell, drip or fall silent: no request goes astray, and time and memory have ends."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import time
import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from jobservice.egress.client import EgressAnswer, EgressClient, EgressRequest
from jobservice.egress.failures import EgressFailed
from tests.egress.servers import LOCAL, PATIENCE_SECONDS, Answer, FakeResolver, endless, fixed, peer
from tests.egress.test_tls import HOST, Authority
from tests.stopwatch import Stopwatch

pytestmark = pytest.mark.deep

HEAD = b"HTTP/1.1 200 OK\r\n"
OK = HEAD + b"Content-Length: 2\r\n\r\nok"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
MEGABYTE = 1024 * 1024
SECRETS = {"Authorization": "Bearer s3cret", "Cookie": "session=s3cret", "X-Api-Key": "s3cret", "webhook-id": "evt_1"}


@pytest.mark.parametrize("status", range(300, 309))
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_redirect_takes_a_request_or_its_secrets_to_another_origin(status: int, method: str) -> None:
    async def scenario() -> None:
        async with peer(fixed(OK)) as elsewhere, EgressClient(LOCAL) as client:
            for place in (elsewhere.url("/x"), f"//127.0.0.1:{elsewhere.port}/", "http://169.254.169.254/", "/again"):
                head = f"HTTP/1.1 {status} X\r\nLocation: {place}\r\nRefresh: 0; url={place}\r\n"
                head += f'Content-Location: {place}\r\nLink: <{place}>; rel="preload"\r\nContent-Length: 0\r\n\r\n'
                async with peer(fixed(head.encode())) as listener:
                    answer = await client.send(EgressRequest(method, listener.url(), SECRETS, b"s3cret"))
                    assert (answer.status, answer.header("location")) == (status, place)
                    assert len(listener.requests) == 1
            assert await elsewhere.dialled() == []

    asyncio.run(scenario())


def test_what_the_environment_says_of_proxies_and_passwords_is_not_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with peer(fixed(OK)) as proxy, peer(fixed(OK)) as listener:
            for name in ("http_proxy", "https_proxy", "all_proxy", "ws_proxy"):
                monkeypatch.setenv(name, proxy.url())
                monkeypatch.setenv(name.upper(), proxy.url())
            monkeypatch.setenv("NO_PROXY", "")
            async with EgressClient(LOCAL, resolver=FakeResolver(["127.0.0.1"])) as client:
                for host in ("127.0.0.1", "localhost", "other.test"):
                    await client.send(EgressRequest("GET", listener.url(host=host)))
                    secure = EgressRequest("GET", listener.url(scheme="https", host=host), timeout_seconds=0.3)
                    with pytest.raises(EgressFailed):
                        await client.send(secure)
            assert await proxy.dialled() == []
            assert len(listener.requests) == 3
            assert not any(b"uthorization" in request or b"s3cret" in request for request in listener.requests)

    netrc = tmp_path / ".netrc"
    netrc.write_text("".join(f"machine {host} login a password s3cret\n" for host in ("127.0.0.1", "localhost")))
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    asyncio.run(scenario())


ZEROS = bytes(8 * MEGABYTE)
PACKED = {
    "gzip": gzip.compress(ZEROS),
    "x-gzip": gzip.compress(ZEROS),
    "deflate": zlib.compress(ZEROS),
    "gzip, gzip": gzip.compress(gzip.compress(ZEROS)),
    # Not what they say, so that whoever tries to unpack them fails.
    "br": b"\x1b\xff\xff\x7f" * 100,
    "zstd": b"\x28\xb5\x2f\xfd" * 100,
    "identity": b"plain",
    "unheard-of": b"plain",
}


@pytest.mark.parametrize("coding", PACKED)
@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_no_body_is_ever_unpacked(coding: str, framing: str) -> None:
    body = PACKED[coding]
    head = HEAD + f"Content-Encoding: {coding}\r\n".encode()
    if framing == "length":
        whole = head + f"Content-Length: {len(body)}\r\n\r\n".encode() + body
    else:
        whole = head + b"Transfer-Encoding: chunked\r\n\r\n" + f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
    answer, listener_saw = ask(fixed(whole))
    assert answer.body == body
    assert b"Accept-Encoding: identity\r\n" in listener_saw


def test_a_packed_transfer_is_not_unpacked_either() -> None:
    packed = gzip.compress(ZEROS)
    head = HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + f"{len(packed):x}\r\n".encode()
    assert outcome(fixed(head + packed + b"\r\n0\r\n\r\n")) in ("protocol", packed)


ENDLESS = {
    "a body": endless(HEAD + b"\r\n", b"x" * 65536),
    "chunks": endless(CHUNKED, b"10000\r\n" + b"x" * 65536 + b"\r\n"),
    "tiny chunks": endless(CHUNKED, b"1\r\nx\r\n" * 4096),
    "a chunk's extension": endless(CHUNKED + b"2;", b"x" * 65536),
    "trailers": endless(CHUNKED + b"0\r\n", b"X: " + b"x" * 4096 + b"\r\n"),
    "a status line": endless(b"HTTP/1.1 200 ", b"x" * 65536),
    "one header": endless(HEAD + b"X: ", b"x" * 65536),
    "headers": endless(HEAD, (b"X-A: " + b"x" * 4096 + b"\r\n") * 16),
    "early hints": endless(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </" + b"x" * 4096 + b">\r\n\r\n"),
    "continue": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "what is no HTTP": endless(b"", b"\x00\xff" * 32768),
    "gzip": endless(HEAD + b"Content-Encoding: gzip\r\n\r\n", PACKED["gzip"]),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_a_peer_without_an_end_costs_little_memory_and_time(kind: str) -> None:
    """The peer's own memory and work are counted too: both live in this thread, and what has no end is all work."""
    # What the first request of a process costs once is not what is asked here.
    assert outcome(fixed(OK)) == b"ok"
    tracemalloc.start()
    try:
        started = time.thread_time()
        assert outcome(ENDLESS[kind], read_limit_bytes=8192) in ("truncated", "protocol", "too-large", "disconnected")
        assert time.thread_time() - started < 5
        assert tracemalloc.get_traced_memory()[1] < 12 * MEGABYTE
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"Content-Length: 2\r\nContent-Length: 20\r\n\r\nok",
        b"Content-Length: 2, 20\r\n\r\nok",
        b"Content-Length: -2\r\n\r\nok",
        b"Content-Length: 0x2\r\n\r\nok",
        b"Content-Length: 2\r\n folded: 3\r\n\r\nok",
    ],
)
def test_an_answer_of_two_lengths_is_none(body: bytes) -> None:
    assert outcome(fixed(HEAD + body)) == "protocol"


def test_an_answer_has_a_bounded_number_of_headers() -> None:
    lines = [f"X-{number}: 1\r\n".encode() for number in range(200)]
    end = b"Content-Length: 2\r\n\r\nok"
    assert outcome(fixed(HEAD + b"".join(lines[:100]) + end)) == b"ok"
    assert outcome(fixed(HEAD + b"".join(lines) + end)) == "protocol"


@pytest.mark.parametrize("every_seconds", [0.02, 0.3])
def test_a_tls_handshake_that_drips_ends_at_the_total_time(every_seconds: float) -> None:
    writers: list[asyncio.StreamWriter] = []

    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        # The head of a handshake record of 16 KiB, and then its bytes one by one.
        writer.write(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc")
        while not writer.is_closing():
            writer.write(b"\x03")
            await asyncio.sleep(every_seconds)

    async def scenario() -> tuple[str, Stopwatch]:
        server = await asyncio.start_server(drip, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with EgressClient(LOCAL) as client:
            with Stopwatch() as watch, pytest.raises(EgressFailed) as caught:
                await client.send(EgressRequest("GET", f"https://127.0.0.1:{port}/", timeout_seconds=0.7))
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(every_seconds * 2)
        return caught.value.error_class, watch

    error_class, watch = asyncio.run(scenario())
    assert error_class in ("timeout", "tls")
    assert watch.moving_seconds < 1.7


@pytest.mark.parametrize("kind", ["silence", "drip"])
def test_a_peer_that_falls_silent_under_tls_ends_at_the_total_time(kind: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    part, pause = (b"x", 0.05) if kind == "drip" else (b"", 0.1)

    async def scenario(context: ssl.SSLContext) -> tuple[str, Stopwatch]:
        async with (
            peer(endless(HEAD + b"\r\n", part, every_seconds=pause), tls=context) as listener,
            EgressClient(LOCAL, resolver=FakeResolver(["127.0.0.1"]), authorities=str(authority.file)) as client,
        ):
            with Stopwatch() as watch, pytest.raises(EgressFailed) as caught:
                await client.send(EgressRequest("GET", listener.url(scheme="https", host=HOST), timeout_seconds=0.7))
            return caught.value.error_class, watch

    error_class, watch = asyncio.run(scenario(authority.server()))
    assert error_class == "timeout"
    assert watch.moving_seconds < 1.7


def ask(answer: Answer, *, read_limit_bytes: int = MEGABYTE) -> tuple[EgressAnswer, bytes]:
    """The answer of such a peer, and the request it got."""

    async def scenario() -> tuple[EgressAnswer, bytes]:
        async with peer(answer) as listener, EgressClient(LOCAL) as client:
            request = EgressRequest("GET", listener.url(), timeout_seconds=PATIENCE_SECONDS)
            request = replace(request, read_limit_bytes=read_limit_bytes)
            return await client.send(request), listener.requests[0]

    return asyncio.run(scenario())


def outcome(answer: Answer, *, read_limit_bytes: int = MEGABYTE) -> str | bytes:
    """The class of the failure, else the body, or that it was cut off."""
    try:
        came, _ = ask(answer, read_limit_bytes=read_limit_bytes)
    except EgressFailed as failure:
        return failure.error_class
    return "truncated" if came.truncated else came.body
