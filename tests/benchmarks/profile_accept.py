"""Where the time of one accepted job goes: `python -m tests.benchmarks.profile_accept`.

Calls the WSGI application in this process, as the web role on a real, durable database, and prints milliseconds by
stage. `--bulk 100` sends a hundred jobs per request; `--unique` gives each request a unique key of its own;
`--functions 30` adds cProfile's dearest functions of a second, separate pass, whose own cost is in them.
"""

from __future__ import annotations

import argparse
import cProfile
import io
import itertools
import json
import pstats
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

from tests.benchmarks.accept_points import install
from tests.benchmarks.faults import CannotMeasure
from tests.benchmarks.quiet import quiet_children
from tests.benchmarks.servers import running_servers, show_setting
from tests.benchmarks.stages import Stage, StageClock
from tests.benchmarks.web_role import Application, web_application

DATABASE = "jobservice_profile"
SHELL = "http: Django, REST framework, middleware"
UNIQUE_KEY = "<number>"


def main() -> int:
    options = _read_options()
    try:
        with quiet_children(), running_servers() as servers:
            commits = show_setting(servers, "synchronous_commit")
            with web_application(servers, DATABASE) as (application, key):
                _profile(application, key, options=options, out=sys.stdout, commits=commits)
    except CannotMeasure as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.profile_accept", description=__doc__)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--bulk", type=int, default=0, metavar="JOBS", help="jobs per request, over /v1/jobs/bulk")
    parser.add_argument("--payload-bytes", type=int, default=1000)
    parser.add_argument("--callback", action="store_true", help="jobs with a callback_url")
    parser.add_argument("--unique", action="store_true", help="jobs with a unique key, another one in each request")
    parser.add_argument("--functions", type=int, default=0, metavar="N")
    return parser.parse_args()


def _profile(application: Application, key: str, *, options: argparse.Namespace, out: TextIO, commits: str) -> None:
    send = _sender(application, key, options)
    status = send()
    if status in (404, 405) and options.bulk:
        out.write("/v1/jobs/bulk is not there.\n")
        return
    for _ in range(max(20, options.requests // 10)):
        if (status := send()) >= 300:
            raise CannotMeasure(f"The application answered {status}.")
    if options.functions:
        # Before anything is wrapped.
        _print_functions(out, send, options)
    bare_ms = _bare_statement_ms()
    clock = StageClock()
    missing = install(clock)
    for _ in range(options.requests):
        with clock.request(SHELL):
            status = send()
        if status >= 300:
            raise CannotMeasure(f"The application answered {status}.")
    _print_stages(out, clock.summary(), options=options, bare_ms=bare_ms, commits=commits)
    if missing:
        out.write(f"not there any more, so part of the stage around them: {', '.join(missing)}\n")


def _sender(application: Application, key: str, options: argparse.Namespace) -> Callable[[], int]:
    job: dict[str, Any] = {"type": "echo", "payload": "x" * options.payload_bytes}
    if options.callback:
        job["callback_url"] = "http://127.0.0.1:9/callback"
    if options.unique:
        job["unique"] = {"key": UNIQUE_KEY}
    document = {"mode": "atomic", "jobs": [job] * options.bulk} if options.bulk else job
    path = "/v1/jobs/bulk" if options.bulk else "/v1/jobs"
    body = json.dumps(document).encode()
    numbers = itertools.count(10**6)
    statuses: list[int] = []

    def start_response(status: str, _headers: object, _error: object = None) -> None:
        statuses.append(int(status.split()[0]))

    def send() -> int:
        own = body.replace(UNIQUE_KEY.encode(), b"%d" % next(numbers))
        answer = application(_environ(path, own, key), start_response)
        b"".join(answer)
        # As a server does: this is what gives the connection back to the pool.
        answer.close()
        return statuses.pop()

    return send


def _environ(path: str, body: bytes, key: str) -> dict[str, Any]:
    """What gunicorn hands over for such a request."""
    return {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_AUTHORIZATION": f"Bearer {key}",
        "HTTP_HOST": "127.0.0.1",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }


def _bare_statement_ms() -> float:
    """The round trip that no statement can be cheaper than."""
    from django.db import connection

    with connection.cursor() as cursor:
        begun = time.perf_counter()
        for _ in range(200):
            cursor.execute("SELECT 1")
        spent = (time.perf_counter() - begun) / 200 * 1000
    connection.close()
    return spent


def _print_stages(
    out: TextIO, stages: list[Stage], *, options: argparse.Namespace, bare_ms: float, commits: str
) -> None:
    whole = sum(stage.p50_ms for stage in stages)
    processor = sum(stage.cpu_ms for stage in stages)
    jobs = f"{options.bulk} jobs of" if options.bulk else "one job of"
    out.write(f"{options.requests} requests, {jobs} {options.payload_bytes} bytes, synchronous_commit {commits}\n\n")
    head = "stage (without the stages inside it)"
    out.write(f"{head:<58}{'calls':>6}{'p50 ms':>9}{'mean ms':>9}{'CPU ms':>9}{'share':>7}\n")
    for stage in stages:
        share = stage.p50_ms / whole
        out.write(
            f"{stage.name:<58}{stage.calls:>6.1f}{stage.p50_ms:>9.3f}{stage.mean_ms:>9.3f}{stage.cpu_ms:>9.3f}{share:>7.1%}\n"
        )
    mean = sum(stage.mean_ms for stage in stages)
    out.write(f"{'a request':<64}{whole:>9.3f}{mean:>9.3f}{processor:>9.3f}\n\n")
    out.write(f"a bare SELECT 1 on the same connection: {bare_ms:.3f} ms\n")
    out.write(f"one core of this process alone allows at most {1000 / processor:.0f} requests/s\n")


def _print_functions(out: TextIO, send: Callable[[], int], options: argparse.Namespace) -> None:
    profile = cProfile.Profile()
    profile.enable()
    for _ in range(options.requests):
        send()
    profile.disable()
    pstats.Stats(profile, stream=out).sort_stats("tottime").print_stats(options.functions)


if __name__ == "__main__":
    raise SystemExit(main())
