"""The load, in a process of its own: an order as JSON on standard input, the answer as JSON on standard output."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from tests.benchmarks.orders import Read, ReadOrder, SubmitOrder, Submitted
from tests.benchmarks.payloads import number_of, payload_of
from tests.benchmarks.raw_http import Exchange, Peer, exchange_all

JOBS, BULK = "/v1/jobs", "/v1/jobs/bulk"
_SHOWN_REFUSALS = 5


def main() -> None:
    kind, order = json.load(sys.stdin)
    answer = submit(SubmitOrder(**order)) if kind == "submit" else read(ReadOrder(**order))
    json.dump(asdict(answer), sys.stdout)


def submit(order: SubmitOrder) -> Submitted:
    """Send the jobs; only 2xx answers count as accepted."""
    numbers = range(order.first, order.first + order.jobs)
    batches = [numbers[at : at + order.per_request] for at in range(0, len(numbers), order.per_request)]
    requests = [_post(order, batch) for batch in batches]
    exchanges = _run(order, requests, per_second=order.per_second)
    refused = [exchange for exchange in exchanges if not exchange.is_accepted]
    jobs: dict[str, int] = {}
    for exchange in exchanges:
        if exchange.is_accepted:
            jobs.update(_accepted(exchange.body, batches[exchange.number]))
    return Submitted(
        jobs=jobs,
        sent=[exchange.sent for exchange in exchanges],
        answered=[exchange.answered for exchange in exchanges],
        refusals=[f"{exchange.status}: {exchange.body[:300]!r}" for exchange in refused[:_SHOWN_REFUSALS]],
    )


def read(order: ReadOrder) -> Read:
    """Read every job and judge it."""
    requests = [_get(order, job_id) for job_id, _ in order.jobs]
    exchanges = _run(order, requests, per_second=None)
    faults: list[str] = []
    times: list[tuple[float, str, str]] = []
    for exchange, (job_id, number) in zip(exchanges, order.jobs, strict=True):
        job = json.loads(exchange.body) if exchange.is_accepted else {}
        fault = judge_job(exchange.status, job, number)
        if fault:
            faults.append(f"{job_id} {fault}")
        else:
            times.append((job["latency_ms"], job["dispatched_at"], job["finished_at"]))
    return Read(faults=faults, times=times)


def judge_job(status: int, job: dict[str, Any], number: int) -> str:
    """What is wrong with a job that must be completed with its own payload as the result; empty when nothing is."""
    if status != 200:
        return f"was answered {status}"
    if job["state"] != "completed":
        return f"is {job['state']}"
    if number_of(job.get("result")) != number:
        return "has another result than its payload"
    if job["attempt"] != 1:
        return f"ran {job['attempt']} times"
    return ""


def _accepted(body: bytes, numbers: Iterable[int]) -> dict[str, int]:
    answer = json.loads(body)
    ids = [row["job"]["id"] for row in answer["data"]] if "data" in answer else [answer["id"]]
    return dict(zip(ids, numbers, strict=True))


def _run(order: SubmitOrder | ReadOrder, requests: list[bytes], *, per_second: float | None) -> list[Exchange]:
    peer = Peer(order.host, order.port)
    return asyncio.run(exchange_all(requests, peer, connections=order.connections, per_second=per_second))


def _post(order: SubmitOrder, numbers: range) -> bytes:
    jobs = [{**order.job, "payload": payload_of(number)} for number in numbers]
    is_bulk = order.per_request > 1
    body = json.dumps({"mode": "atomic", "jobs": jobs} if is_bulk else jobs[0]).encode()
    head = _head("POST", BULK if is_bulk else JOBS, order)
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def _get(order: ReadOrder, job_id: str) -> bytes:
    return f"{_head('GET', f'{JOBS}/{job_id}?include=result', order)}\r\n".encode()


def _head(method: str, path: str, order: SubmitOrder | ReadOrder) -> str:
    return f"{method} {path} HTTP/1.1\r\nHost: {order.host}:{order.port}\r\nAuthorization: Bearer {order.key}\r\n"


if __name__ == "__main__":
    main()
