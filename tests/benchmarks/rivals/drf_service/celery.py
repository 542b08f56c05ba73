"""The rival's task: run, update the row, tell the caller."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import time
from functools import lru_cache

import urllib3
from celery import Celery
from django.utils import timezone

from tests.benchmarks.rivals.celery_app import make_app

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.benchmarks.rivals.drf_service.settings")
app: Celery = make_app("drf_service")


@app.task(name="bench.run")
def run_task(task_id: str) -> None:
    """Echo: the result is the payload."""
    from tests.benchmarks.rivals.drf_service.models import Task  # Django's apps are ready only now

    started_at = timezone.now()
    task = Task.objects.get(id=task_id)
    task.state, task.result = "completed", task.payload
    task.started_at, task.finished_at = started_at, timezone.now()
    task.save(update_fields=["state", "result", "started_at", "finished_at"])
    if task.callback_url is None:
        return
    data = {"job": {"id": task_id, "type": task.type, "state": task.state}, "result": task.result}
    body = json.dumps({"type": "job.completed", "timestamp": task.finished_at.isoformat(), "data": data}).encode()
    answer = _client().request("POST", task.callback_url, body=body, headers=_signed_headers(task_id, body))
    if answer.status >= 300:
        raise RuntimeError(f"the callback was answered {answer.status}")


@lru_cache(maxsize=1)
def _client() -> urllib3.PoolManager:
    """One kept connection per process."""
    return urllib3.PoolManager(retries=False, timeout=30)


def _signed_headers(message_id: str, body: bytes) -> dict[str, str]:
    """Standard Webhooks, by hand."""
    moment = str(int(time.time()))
    secret = base64.b64decode(os.environ["BENCH_SECRET"].removeprefix("whsec_") + "==")
    digest = hmac.digest(secret, f"{message_id}.{moment}.".encode() + body, hashlib.sha256)
    return {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": moment,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
