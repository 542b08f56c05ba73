"""The client against peers that answer well, badly, too slowly and too much."""

from __future__ import annotations

import asyncio
import gzip
from dataclasses import replace
from typing import Any

import pytest

from jobservice.egress.client import EgressAnswer, EgressClient, EgressRequest
from jobservice.egress.failures import EgressFailed
from tests.egress.servers import LOCAL, PATIENCE_SECONDS, Answer, Peer, endless, fixed, peer, reset
from tests.stopwatch import Stopwatch

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
OK = HEAD + b"Content-Length: 2\r\n\r\nok"


def request_to(listener: Peer, path: str = "/", **changes: Any) -> EgressRequest:
    return replace(EgressRequest("POST", listener.url(path), timeout_seconds=PATIENCE_SECONDS), **changes)


def ask(answer: Answer, path: str = "/", **changes: Any) -> tuple[EgressAnswer, Peer]:
    """Send one request to a peer that answers like this."""

    async def scenario() -> tuple[EgressAnswer, Peer]:
        async with peer(answer) as listener, EgressClient(LOCAL) as client:
            return await client.send(request_to(listener, path, **changes)), listener

    return asyncio.run(scenario())


def fail(answer: Answer, **changes: Any) -> EgressFailed:
    """The failure of a request to a peer that answers like this."""
    with pytest.raises(EgressFailed) as caught:
        ask(answer, **changes)
    return caught.value


def test_answer_has_status_headers_and_body() -> None:
    with Stopwatch() as watch:
        answer, _ = ask(
            fixed(b"HTTP/1.1 503 Busy\r\nRetry-After: 9\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 3\r\n\r\nno!")
        )
    assert (answer.status, answer.body, answer.truncated) == (503, b"no!", False)
    assert answer.header("RETRY-AFTER") == "9"
    assert answer.header("absent") is None
    assert [pair for pair in answer.headers if pair[0] == "x-a"] == [("x-a", "1"), ("x-a", "2")]
    assert 0 < answer.elapsed_seconds <= watch.seconds


def test_header_bytes_that_are_no_text_become_text_that_can_be_stored() -> None:
    answer, _ = ask(fixed(HEAD + b"X-A: \xff\xfe\r\nContent-Length: 0\r\n\r\n"))
    value = answer.header("x-a")
    assert value is not None
    value.encode("utf-8")


def test_request_goes_out_as_given_and_with_nothing_but_the_least() -> None:
    _, listener = ask(
        fixed(OK),
        "/a%20b?c=ü",
        method="PUT",
        headers={"X-Key": "a", "webhook-id": "evt_1", "Accept-Encoding": "gzip"},
        body=b"\x00body",
    )
    lines = listener.requests[0].decode().split("\r\n")
    assert lines[0] == "PUT /a%20b?c=%C3%BC HTTP/1.1"
    headers = dict(line.split(": ", 1) for line in lines[1:] if line)
    assert headers == {
        "Host": f"127.0.0.1:{listener.port}",
        "X-Key": "a",
        "webhook-id": "evt_1",
        "User-Agent": "jobservice/0.1",
        "Accept-Encoding": "identity",
        "Accept": "*/*",
        "Content-Length": "5",
        "Connection": "close",
    }


def test_large_body_arrives_whole() -> None:
    body = bytes(range(256)) * 8 * 1024
    received = b""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        received = await reader.readexactly(len(body))
        await fixed(OK)(reader, writer)

    answer, listener = ask(take, body=body)
    assert answer.status == 200
    assert received == body
    assert f"Content-Length: {len(body)}".encode() in listener.requests[0]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_an_answer_and_is_not_followed(status: int) -> None:
    head = f"HTTP/1.1 {status} Moved\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n".encode()
    answer, listener = ask(fixed(head, close=False), method="GET")
    assert (answer.status, answer.header("location")) == (status, "/elsewhere")
    assert len(listener.requests) == 1


def test_cookies_are_not_kept() -> None:
    async def scenario() -> None:
        cookie = HEAD + b"Set-Cookie: a=b; Path=/\r\nContent-Length: 0\r\n\r\n"
        async with peer(fixed(cookie)) as listener, EgressClient(LOCAL) as client:
            # By name: aiohttp keeps no cookies of addresses anyway.
            request = request_to(listener, url=listener.url(host="localhost"))
            await client.send(request)
            await client.send(request)
            assert len(listener.requests) == 2
            assert b"ookie" not in listener.requests[1]

    asyncio.run(scenario())


def test_proxy_settings_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with peer(fixed(OK)) as proxy, peer(fixed(OK)) as listener:
            for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
                monkeypatch.setenv(name, proxy.url())
            async with EgressClient(LOCAL) as client:
                await client.send(request_to(listener))
            assert await proxy.dialled() == []
            assert len(listener.requests) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
def test_request_is_never_sent_twice(method: str) -> None:
    async def scenario() -> None:
        async with peer(fixed(b"")) as listener, EgressClient(LOCAL) as client:
            with pytest.raises(EgressFailed) as caught:
                await client.send(request_to(listener, method=method))
            assert caught.value.error_class == "disconnected"
            assert len(await listener.dialled()) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "changes", [{"method": "CONNECT"}, {"method": "GET / HTTP/1.1\r\nX: y"}, {"headers": {"Host": "x"}}]
)
def test_request_that_would_change_its_own_shape_is_refused(changes: dict[str, Any]) -> None:
    assert fail(fixed(OK), **changes).error_class == "refused"


SLOW = {
    "silence": endless(b"", b"", every_seconds=0.1),
    "status line": endless(b"HTTP/1.1 200 ", b"x", every_seconds=0.1),
    "headers": endless(HEAD, b"a: b\r\n", every_seconds=0.1),
    "body": endless(HEAD + b"\r\n", b"x", every_seconds=0.1),
    "chunks": endless(CHUNKED, b"1\r\nx\r\n", every_seconds=0.1),
    "trailers": endless(CHUNKED + b"0\r\n", b"a: b\r\n", every_seconds=0.1),
    "interim answers": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n", every_seconds=0.1),
}


def test_peer_that_drips_is_cut_at_the_total_time() -> None:
    async def time_failure(answer: Answer, body: bytes) -> tuple[str, Stopwatch]:
        async with peer(answer) as listener, EgressClient(LOCAL) as client:
            with Stopwatch() as watch, pytest.raises(EgressFailed) as caught:
                await client.send(request_to(listener, timeout_seconds=1.2, body=body))
            return caught.value.error_class, watch

    async def scenario() -> None:
        # The long body is never read by the peer: the writing must end with the rest.
        cases = [(answer, body) for answer in SLOW.values() for body in (b"", b"x" * 8_000_000)]
        for error_class, watch in await asyncio.gather(*(time_failure(*case) for case in cases)):
            assert error_class == "timeout"
            assert watch.seconds > 0.7
            assert watch.moving_seconds < 1.7

    asyncio.run(scenario())


def test_peer_that_accepts_and_never_shakes_hands_is_cut_at_the_total_time() -> None:
    async def scenario() -> None:
        async with peer(fixed(OK)) as listener, EgressClient(LOCAL) as client:
            with Stopwatch() as watch, pytest.raises(EgressFailed) as caught:
                await client.send(request_to(listener, url=listener.url(scheme="https"), timeout_seconds=0.5))
            assert caught.value.error_class == "timeout"
            assert watch.moving_seconds < 1

    asyncio.run(scenario())


def test_caller_can_cancel() -> None:
    async def scenario() -> None:
        async with peer(SLOW["silence"]) as listener, EgressClient(LOCAL) as client:
            task = asyncio.create_task(client.send(request_to(listener)))
            async with listener.arrived:
                await listener.arrived.wait_for(lambda: listener.arrivals)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(scenario())


MEGABYTE = 1024 * 1024
TOO_MUCH = {
    "ten megabytes": fixed(HEAD + b"Content-Length: 10485760\r\n\r\n", *[b"x" * MEGABYTE] * 10),
    "no end": endless(HEAD + b"\r\n", b"x" * 65536),
    "chunks without end": endless(CHUNKED, b"400\r\n" + b"x" * 1024 + b"\r\n"),
    "gzip bomb": fixed(
        HEAD + b"Content-Encoding: gzip\r\n\r\n", b"x" * 1000, *[gzip.compress(bytes(10 * MEGABYTE))] * 40
    ),
}


@pytest.mark.parametrize("kind", TOO_MUCH)
@pytest.mark.parametrize("limit", [0, 1000, 65536, 300_000])
def test_body_is_read_to_the_limit_and_no_further(kind: str, limit: int) -> None:
    answer, _ = ask(TOO_MUCH[kind], read_limit_bytes=limit)
    assert (answer.status, len(answer.body), answer.truncated) == (200, limit, True)


def test_no_caller_can_raise_the_limit_above_a_mebibyte() -> None:
    answer, _ = ask(TOO_MUCH["ten megabytes"], read_limit_bytes=50 * MEGABYTE)
    assert (len(answer.body), answer.truncated) == (MEGABYTE, True)


def test_body_that_just_fits_is_whole() -> None:
    answer, _ = ask(fixed(HEAD + b"Content-Length: 5\r\n\r\n12345"), read_limit_bytes=5)
    assert (answer.body, answer.truncated) == (b"12345", False)


def test_compressed_body_is_handed_over_as_it_came() -> None:
    packed = gzip.compress(bytes(MEGABYTE))
    answer, _ = ask(fixed(HEAD + b"Content-Encoding: gzip\r\n\r\n", packed))
    assert answer.body == packed


@pytest.mark.parametrize(
    ("error_class", "answer"),
    [
        ("disconnected", fixed(b"")),
        ("disconnected", fixed(HEAD)),
        ("disconnected", fixed(HEAD + b"Content-Length: 9\r\n\r\nshort")),
        ("disconnected", fixed(CHUNKED + b"5\r\nab")),
        ("disconnected", reset),
        ("protocol", fixed(b"hello\r\n\r\n")),
        ("protocol", fixed(b"HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n")),
        ("protocol", fixed(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")),
        ("protocol", fixed(CHUNKED + b"ZZ\r\nab\r\n")),
        ("protocol", fixed(CHUNKED + b"-1\r\nab\r\n")),
        ("protocol", fixed(HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")),
        ("protocol", fixed(HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc")),
        ("protocol", fixed(HEAD + b"Content-Length: +2\r\n\r\nab")),
        ("protocol", fixed(HEAD + b"X: a\x00b\r\n\r\n")),
        ("protocol", endless(HEAD, b"a: b\r\n" * 100)),
        ("protocol", endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)),
        ("disconnected", endless(CHUNKED + b"2;", b"x" * 65536)),
        ("too-large", fixed(HEAD + b"X: " + b"x" * 9000 + b"\r\n\r\n")),
        ("too-large", fixed(HEAD + b"x" * 9000 + b": x\r\n\r\n")),
        ("too-large", fixed(b"HTTP/1.1 200 " + b"x" * 9000 + b"\r\n\r\n")),
    ],
)
def test_broken_answer_fails_at_once_with_its_class(error_class: str, answer: Answer) -> None:
    with Stopwatch() as watch:
        assert fail(answer).error_class == error_class
    assert watch.moving_seconds < 3


def test_some_interim_answers_are_passed_over_but_not_thousands() -> None:
    interim = b"HTTP/1.1 102 Processing\r\n\r\n"
    assert ask(fixed(interim * 900, OK))[0].body == b"ok"
    assert fail(fixed(interim * 1100, OK)).error_class == "protocol"


def test_chunk_that_turns_bad_after_the_header_was_read_fails_at_once() -> None:
    async def scenario() -> None:
        is_read = asyncio.Event()

        async def turn_bad(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(CHUNKED + b"2\r\nok\r\n")
            await is_read.wait()
            writer.write(b"ZZ\r\n")
            await writer.drain()
            await _reader.read()

        async with peer(turn_bad) as listener, EgressClient(LOCAL) as client:
            task = asyncio.create_task(client.send(request_to(listener)))
            async with listener.arrived:
                await listener.arrived.wait_for(lambda: listener.arrivals)
            for _ in range(50):
                await asyncio.sleep(0)
            is_read.set()
            with pytest.raises(EgressFailed) as caught:
                await task
            assert caught.value.error_class == "protocol"

    asyncio.run(scenario())


def test_nobody_listening_is_a_failed_connection() -> None:
    async def scenario() -> None:
        async with peer(fixed(OK)) as listener:
            pass
        async with EgressClient(LOCAL) as client:
            with pytest.raises(EgressFailed) as caught:
                await client.send(request_to(listener))
            assert caught.value.error_class == "connect"
            assert str(listener.port) not in caught.value.detail

    asyncio.run(scenario())


def test_hundreds_of_requests_are_in_flight_at_once() -> None:
    async def scenario() -> None:
        everyone = asyncio.Barrier(300)

        async def wait_for_everyone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await everyone.wait()
            await fixed(OK)(reader, writer)

        async with peer(wait_for_everyone) as listener, EgressClient(LOCAL) as client:
            answers = await asyncio.gather(*(client.send(request_to(listener)) for _ in range(300)))
            assert {answer.status for answer in answers} == {200}

    asyncio.run(scenario())


def test_secrets_of_a_request_do_not_show_in_its_repr() -> None:
    request = EgressRequest("POST", "https://x.test/?token=s3cret", {"Authorization": "s3cret"}, b"s3cret")
    assert "s3cret" not in repr(request)
