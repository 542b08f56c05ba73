"""Every door that takes a secret or a tenant's content, and canaries for each: accepted, refused, failing, ended."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any

from tests.journeys.canaries import Canaries
from tests.journeys.canary_handlers import WAYS
from tests.journeys.product import Product

BULK_JOBS = 110
TELLING = "canary.tell"


class Doors:
    """Puts canaries through; `jobs` are those that must end, `refusals` what was answered to what was refused."""

    def __init__(self, product: Product, canaries: Canaries, *, url: str) -> None:
        self._product = product
        self._canaries = canaries
        self._url = url
        self.jobs: list[str] = []
        self.refusals: list[str] = []

    def open_all(self) -> None:
        self._submit_many()
        self._run_handlers()
        self._set_up_receivers()
        self._run_endpoints()
        self._call_out()
        self._repeat_requests()
        self._change_jobs()
        self._make_keys()
        for refused in self._refused_requests():
            self._refuse(*refused)

    def _call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        status, text, _ = self._send(method, path, b"" if body is None else json.dumps(body).encode(), headers)
        assert status < 300, (method, path, text)
        return json.loads(text or "null")

    def _send(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, str, str]:
        """Status, body and headers."""
        connection = http.client.HTTPConnection("127.0.0.1", self._product.port, timeout=60)
        ours = {"Authorization": f"Bearer {self._product.key}", "Content-Type": "application/json"}
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, {**ours, **given})
        answer = connection.getresponse()
        told = answer.read().decode()
        connection.close()
        return answer.status, told, str(answer.headers)

    def _submit_many(self) -> None:
        new = self._canaries.new
        jobs = [
            {
                "type": "echo",
                "payload": {new("payloads"): [new("payloads"), {"deep": new("payloads")}]},
                "metadata": {"m": new("metadata")},
                "unique": {"key": new("unique keys")},
                "concurrency_key": new("concurrency keys"),
                "callback_url": f"{self._url}{new('callback paths')}?token={new('callback queries')}",
                "tags": {"customer": self._canaries.decoy},
            }
            for _ in range(BULK_JOBS)
        ]
        for place in range(0, BULK_JOBS, 50):
            answer = self._call("POST", "/v1/jobs/bulk", {"mode": "atomic", "jobs": jobs[place : place + 50]})
            self.jobs += [entry["job"]["id"] for entry in answer["data"]]

    def _run_handlers(self) -> None:
        for way in WAYS:
            for _ in range(2):
                texts = [self._canaries.new(f"runs that {way}") for _ in range(3)]
                self._submit(TELLING, {"way": way, "texts": texts}, timeout_seconds=1 if way == "overrun" else 60)
        self._submit("sleep", {"seconds": self._canaries.new("runs that fail")})
        self._submit("fail", {"message": self._canaries.new("runs that fail")})

    def _submit(self, type_name: str, payload: Any, **options: Any) -> None:
        retry = {"strategy": "fixed", "initial_seconds": 1}
        callback = f"{self._url}?{self._canaries.new('callback queries')}"
        body = {"type": type_name, "payload": payload, "max_attempts": 2, "retry": retry, "callback_url": callback}
        self.jobs.append(self._call("POST", "/v1/jobs", {**body, **options})["id"])

    def _set_up_receivers(self) -> None:
        new, keep = self._canaries.new, self._canaries.keep
        for number in range(5):
            http_target = {
                "url": f"{self._url}{new('type paths')}",
                "headers": {"X-Token": new("type headers")},
                "signing": {"own": True},
            }
            made = self._call("PUT", f"/v1/job-types/web-{number}", {"executor": "http", "http": http_target})
            keep("signing secrets", made["http"]["signing"]["secret"])
            rotated = self._call("POST", f"/v1/job-types/web-{number}/rotate-secret", {})
            keep("signing secrets", rotated["http"]["signing"]["secret"])
            target = {"url": f"{self._url}{new('endpoint paths')}", "headers": {"X-Token": new("endpoint headers")}}
            made = self._call("POST", "/v1/webhook-endpoints", {**target, "signing": {"own": True}})
            keep("signing secrets", made["signing"]["secret"])
            path = f"/v1/webhook-endpoints/{made['id']}"
            self._call("PATCH", path, {"headers": {"X-Token": new("endpoint headers")}})
            keep("signing secrets", self._call("POST", f"{path}/rotate-secret", {})["signing"]["secret"])
            self._call("POST", f"{path}/test")
        keep("signing secrets", self._call("GET", "/v1/signing-secrets/default")["secret"])
        keep("signing secrets", self._call("POST", "/v1/signing-secrets/default/rotate", {})["secret"])

    def _run_endpoints(self) -> None:
        for way in ("return", "fail", "give up", "snooze", "later"):
            for number in range(5):
                self._submit(f"web-{number}", {"way": way, "text": self._canaries.new("payloads of http jobs")})

    def _call_out(self) -> None:
        new = self._canaries.new
        for _ in range(10):
            call = {"method": "POST", "url": f"{self._url}{new('calls')}?q={new('calls')}"}
            self._submit("http.request", {**call, "headers": {"X-Token": new("calls")}, "body": {"b": new("calls")}})
        # Refused when it is dialled, or nobody is there.
        for url in ("http://127.0.0.1:9/", "http://nobody.invalid/"):
            self._submit("http.request", {"url": f"{url}{new('failed calls')}"}, max_attempts=1)

    def _repeat_requests(self) -> None:
        for _ in range(20):
            body = {"type": "echo", "payload": self._canaries.new("payloads")}
            key = self._canaries.new("idempotency keys")
            first, again = (self._call("POST", "/v1/jobs", body, Idempotency_Key=key) for _ in range(2))
            assert first["id"] == again["id"]
            self.jobs.append(first["id"])

    def _change_jobs(self) -> None:
        for act in ("PATCH", "cancel"):
            texts = [self._canaries.new("jobs that are changed") for _ in range(2)]
            body = {"type": "echo", "payload": texts[0], "metadata": texts[1], "delay_seconds": 900}
            path = f"/v1/jobs/{self._call('POST', '/v1/jobs', body)['id']}"
            if act == "PATCH":
                self._call("PATCH", path, {"priority": 3})
            self._call("POST", f"{path}/cancel")
            self._call("GET", f"{path}?include=payload,metadata,result")
            self._call("DELETE", path)

    def _make_keys(self) -> None:
        keep = self._canaries.keep
        # The demo tenant's own key lies in a file and was printed, for its owner to find.
        for number in range(3):
            made = self._call("POST", "/v1/api-keys", {"name": f"key {number}", "scopes": ["jobs:read"]})
            rotated = self._call("POST", f"/v1/api-keys/{made['id']}/rotate", {"overlap_seconds": 60})
            for text in (made["key"], rotated["key"]):
                self._call("GET", "/v1/jobs?limit=1", Authorization=f"Bearer {keep('API keys', text)}")
            self._call("DELETE", f"/v1/api-keys/{made['id']}")
            self._send("GET", "/v1/jobs", b"", {"Authorization": f"Bearer {made['key']}"})
        invited = self._product.command("create_member", "demo", "ada@example.com", "--role", "admin", "--json")
        keep("invitations", json.loads(invited.stdout)["invitation"])

    def _refuse(self, method: str, path: str, body: Any, headers: dict[str, str]) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        status, told, told_before = self._send(method, path, content, headers)
        assert 400 <= status < 500, (method, path, status, told)
        self.refusals += [told_before, told]

    def _refused_requests(self) -> Iterator[tuple[str, str, Any, dict[str, str]]]:
        def new() -> str:
            return self._canaries.new("refused requests")

        jobs, typed = "/v1/jobs", {"type": "echo"}
        schema = {"executor": "handler", "handler": "echo", "payload_schema": {"type": "object"}}
        self._call("PUT", "/v1/job-types/strict", schema)
        bad_url = f"http://10.0.0.1/{new()}?{new()}"
        for body in (
            f'{{"type":"echo","payload":"{new()}'.encode(),
            f'{{"type":"echo","payload":"{new()}","payload":"{new()}"}}'.encode(),
            f'"\\ud800{new()}"'.encode(),
            b"\xff" + new().encode(),
            new() * 40_000,
            {**typed, "payload": new() * 40_000},
            {**typed, "priority": new()},
            {**typed, "tags": {"t": [new()]}},
            {**typed, "metadata": new() * 300},
            {**typed, "run_at": new(), "delay_seconds": new()},
            {**typed, "unique": {"key": [new()]}, "nobody": new()},
            {**typed, "concurrency_key": new() * 20},
            {**typed, "callback_url": bad_url},
            {**typed, "callback_url": f"http://user:{new()}@example.com/"},
            {"type": "strict", "payload": new()},
            {"type": "http.request", "payload": {"url": bad_url, "headers": {"X-Token": f"{new()}\n"}}},
            [new()],
        ):
            yield "POST", jobs, body, {}
            yield "POST", "/v1/jobs/bulk", body, {"Idempotency_Key": new()}
        target = {"url": "https://example.com/", "headers": {"Webhook-Signature": new()}}
        yield "POST", "/v1/webhook-endpoints", target, {}
        yield "PUT", "/v1/job-types/mine", {"executor": "http", "http": {**target, "url": bad_url}}, {}
        yield "GET", f"/v1/jobs/{new()}", b"", {}
        yield "GET", f"/v1/{new()}", b"", {"User_Agent": new(), "Referer": new(), "Cookie": f"sid={new()}"}
        yield "GET", f"/v1/jobs?cursor={new()}", b"", {}
        yield "GET", f"/v1/jobs?nobody={new()}", b"", {"traceparent": new(), "Prefer": new(), "If_None_Match": new()}
        yield "POST", f"/v1/completions/{new()}", {"outcome": new()}, {}
        for key in (f"Bearer {new()}", f"Basic {new()}", f"Bearer js_live_{new()}", f"{new()}"):
            yield "POST", jobs, typed, {"Authorization": key}
        yield "POST", jobs, typed, {"Idempotency_Key": f'"{new()}'}
