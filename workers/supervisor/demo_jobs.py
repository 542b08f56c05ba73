"""What the tenant demo is filled with: queues, job types and jobs, as a small shop's would look. Only data.

Every job does what it seems to: those that failed were run and failed, one ran out of memory three times, and what
waits is held by a limit, a pause or its time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice, zip_longest
from typing import Any

HANDLER = "demo"
QUEUES: dict[str, dict[str, Any]] = {
    "emails": {"rate": {"limit": 120, "period_seconds": 60}},
    "invoices": {"concurrency": 5},
    "reports": {"concurrency": 1},
    "payments": {"concurrency": 10, "key_concurrency": 1},
    "media": {},
    "imports": {"paused": True},
}
# Minutes, so that what waits for its next try still does when somebody looks.
_SLOWLY = {"strategy": "exponential", "initial_seconds": 900, "factor": 2, "max_seconds": 14_400}
TYPES: dict[str, dict[str, Any]] = {
    "email.welcome": {"queue": "emails", "max_attempts": 5, "retry": _SLOWLY},
    "email.digest": {"queue": "emails", "max_attempts": 3, "retry": _SLOWLY},
    "invoice.render": {"queue": "invoices", "max_attempts": 5, "retry": _SLOWLY},
    "payment.capture": {"queue": "payments", "max_attempts": 8, "priority": 1, "retry": _SLOWLY},
    "report.monthly": {"queue": "reports", "timeout_seconds": 3600, "max_attempts": 3},
    "image.resize": {"queue": "media", "max_attempts": 3, "retry": _SLOWLY},
    "product.import": {"queue": "imports", "max_attempts": 5},
    "search.reindex": {"priority": 7, "max_attempts": 3},
}
_CUSTOMERS = ("acme", "globex", "initech", "umbrella", "hooli", "stark")
_ANYBODY = "nobody with such an address"
_AWAY = "the bank's gateway did not answer within 10 s"
_BUSY = "421 mail.example.net: too many connections, try again later"
# So many of the done ones stand together; the rest stand among the others, so that a page shows some of each.
_TOGETHER = 8


def demo_jobs(*, long_seconds: float = 900) -> Iterator[dict[str, Any]]:
    """The jobs in the order of their submission, as bodies for `POST /v1/jobs`; one of them runs for `long_seconds`."""
    done = _work_done()
    yield from islice(done, _TOGETHER)
    for others in zip_longest([*_held(), *_later(), *_failures()], done):
        yield from (job for job in others if job is not None)
    yield _job("report.monthly", customer="acme", seconds=long_seconds, unit="sheets", result={"sheets": 31})


def is_taken_back(job: Mapping[str, Any]) -> bool:
    """Whether somebody cancels the accepted job before it is due."""
    return (job["type"], job["state"]) == ("invoice.render", "scheduled")


def _job(type_: str, *, customer: str, options: dict[str, Any] | None = None, **payload: Any) -> dict[str, Any]:
    return {"type": type_, "payload": payload, "tags": {"customer": customer}, **(options or {})}


def _work_done() -> Iterator[dict[str, Any]]:
    for number, customer in enumerate(_CUSTOMERS * 4):
        match number % 4:
            case 0:
                yield _job(
                    "email.welcome", customer=customer, seconds=0.05, result={"message_id": f"m-{8120 + number}"}
                )
            case 1:
                yield _job("invoice.render", customer=customer, seconds=0.2, result={"pages": 1 + number % 3})
            case 2:
                yield _job("payment.capture", customer=customer, seconds=0.1, result={"captured": 1900 + 10 * number})
            case _:
                yield _job("image.resize", customer=customer, seconds=0.15, result={"width": 1200, "height": 800})
    yield _job("search.reindex", customer="acme", seconds=0.3, result={"documents": 4210})


def _failures() -> Iterator[dict[str, Any]]:
    """Some wait for another try, and some are given up."""
    for customer in ("globex", "hooli"):
        yield _job("payment.capture", customer=customer, fails="timeout", says=_AWAY)
    yield _job("email.digest", customer="stark", fails="connection", says=_BUSY)
    for number, customer in enumerate(("initech", "umbrella", "acme")):
        yield _job("email.welcome", customer=customer, fails="permanent", says=f"550 user-{4711 + number}: {_ANYBODY}")
    once = {"max_attempts": 1}
    yield _job("invoice.render", customer="globex", options=once, fails="value", says="line 3 has no tax rate")
    yield _job("image.resize", customer="umbrella", fails="memory", says="a picture of 48,000 by 36,000 pixels")


def _later() -> Iterator[dict[str, Any]]:
    """What is due in the future, and what is taken back before."""
    for hours, customer in ((1, "acme"), (8, "globex"), (24, "hooli")):
        yield _job("email.digest", customer=customer, options={"delay_seconds": 3600 * hours}, result={"sent": True})
    for customer in ("initech", "stark"):
        yield _job("invoice.render", customer=customer, options={"delay_seconds": 7200})


def _held() -> Iterator[dict[str, Any]]:
    """By a pause, and one that does not live to see its end; by a limit of one at a time."""
    for customer in ("acme", "umbrella"):
        yield _job("product.import", customer=customer, seconds=2, unit="products", result={"products": 318})
    yield _job("product.import", customer="hooli", options={"start_deadline_seconds": 5})
    for customer in ("globex", "initech"):
        # After the one that runs: a lower priority is later.
        yield _job("report.monthly", customer=customer, options={"priority": 9}, seconds=20, unit="sheets")
