"""The example receiver completes jobs later, though the egress is killed meanwhile; an endpoint that is gone holds its
type's jobs until somebody writes it again.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.journeys.product import ROOT, Product, wait_until


@contextmanager
def example_receiver(product: Product) -> Iterator[str]:
    """The example as its README starts it; its address."""
    status, answer = product.call("GET", "/v1/signing-secrets/default")
    assert status == 200
    command = [sys.executable, "deploy/examples/receiver.py", "--secret", answer["secret"], "--port", "0"]
    command += ["--service", product.address]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            yield child.stdout.readline().rsplit(" ", 1)[1].strip()
        finally:
            child.terminate()


def put_type(product: Product, name: str, url: str) -> Any:
    status, answer = product.call("PUT", f"/v1/job-types/{name}", {"executor": "http", "http": {"url": url}})
    assert status in (200, 201), answer
    return answer


def test_the_example_completes_jobs_later(product: Product) -> None:
    with example_receiver(product) as address:
        put_type(product, "text.later", f"{address}/later")
        ids = [product.submit(type="text.later", payload={"text": "a b " * number}) for number in range(1, 41)]
        bad = product.submit(type="text.later", payload={"no": "text"})
        product.kill(product.await_pid("egress"))
        ended = product.wait_for_end([*ids, bad], seconds=120)
    assert {ended[job_id]["state"] for job_id in ids} == {"completed"}
    for number, job_id in enumerate(ids, start=1):
        assert product.job(job_id, include="result")["result"]["words"] == 2 * number
    assert (ended[bad]["state"], ended[bad]["error"]["code"]) == ("discarded", "refused")


class _Endpoint(ThreadingHTTPServer):
    daemon_threads = True
    status = 410
    calls = 0


class _Answer(BaseHTTPRequestHandler):
    server: _Endpoint

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.calls += 1
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


def test_a_type_whose_endpoint_is_gone_holds_its_jobs_until_it_is_written_again(calm_product: Product) -> None:
    product = calm_product
    endpoint = _Endpoint(("127.0.0.1", 0), _Answer)
    threading.Thread(target=endpoint.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{endpoint.server_port}/"
    try:
        put_type(product, "gone.work", url)
        first = product.submit(type="gone.work")
        assert product.wait_for_end([first])[first]["error"]["code"] == "http-410"
        assert product.call("GET", "/v1/job-types/gone.work")[1]["disabled"]["reason"]
        held = [product.submit(type="gone.work") for _ in range(20)]
        wait_until(
            lambda: all(product.job(job_id)["state"] == "suspended" for job_id in held),
            seconds=60,
            what="jobs are held",
        )
        assert endpoint.calls == 1
        endpoint.status = 200
        assert put_type(product, "gone.work", url)["disabled"] is None
        ended = product.wait_for_end(held)
        assert {(job["state"], job["attempt"]) for job in ended.values()} == {("completed", 1)}
    finally:
        endpoint.shutdown()
        endpoint.server_close()
