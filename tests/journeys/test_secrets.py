"""What a tenant submits in confidence is found nowhere: not in the database's files, the broker, any log or metric."""

from __future__ import annotations

import json
import re
import secrets
import urllib.request
from collections import Counter
from pathlib import Path

import redis

from tests.journeys.product import Product, free_port, running, wait_until
from tests.journeys.receiver import connected_receiver


def test_a_submitted_secret_is_in_no_file_no_broker_and_no_log(tmp_path: Path) -> None:
    canaries = {name: f"canary{secrets.token_hex(12)}" for name in ("payload", "metadata", "url", "header", "error")}
    metrics_port = free_port()
    # Every line there is, and the metrics of the processes without HTTP on a port of their own.
    told_all = {"JOBSERVICE_LOG_FORMAT": "json", "JOBSERVICE_LOG_LEVEL": "DEBUG"}
    told_all["JOBSERVICE_METRICS_PORT"] = str(metrics_port)
    with running(tmp_path / "var", **told_all) as product, connected_receiver(product) as receiver:
        spec = {"executor": "http", "http": {"url": receiver.url, "headers": {"X-Token": canaries["header"]}}}
        assert product.call("PUT", "/v1/job-types/with.header", spec)[0] == 201
        told = {"callback_url": f"{receiver.url}?token={canaries['url']}", "metadata": {"m": canaries["metadata"]}}
        jobs = [
            product.submit(type="echo", payload=canaries["payload"], **told),
            product.submit(type="with.header", payload={"text": canaries["payload"]}, **told),
            # The built-in's complaint quotes the payload: an error text is as secret as its cause.
            product.submit(type="sleep", payload={"seconds": canaries["error"]}, max_attempts=1, **told),
        ]
        ended = product.wait_for_end(jobs)
        assert [ended[job]["state"] for job in jobs] == ["completed", "completed", "discarded"]
        assert product.job(jobs[0], include="result")["result"] == canaries["payload"]
        wait_until(lambda: set(receiver.callbacks) >= set(jobs), seconds=60, what="every callback arrived")
        assert broker_holds_none_of(product, list(canaries.values()))
        metrics = scrape(metrics_port)
        assert 'jobservice_jobs_finished_total{executor="handler",state="discarded"} 1.0' in metrics
        assert metrics_hold_none_of(metrics, list(canaries.values()))
        product.stop()
        assert log_tells_each_job_once(product.log, jobs)
        assert files_with(product.data_dir, list(canaries.values())) == []
        # The search itself must be able to find something: the tenant's name is stored in the clear.
        assert files_with(product.data_dir / "postgres", ["text.count"])


def scrape(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        return str(answer.read().decode())


def metrics_hold_none_of(metrics: str, texts: list[str]) -> bool:
    return not any(text in metrics for text in texts)


def log_tells_each_job_once(log: str, job_ids: list[str]) -> bool:
    """Whether each verb of each job is one line of the log, whichever process did it."""
    lines = [json.loads(line) for line in re.findall(r"{.*}$", log, re.MULTILINE)]
    told = Counter((line["event"], line["job_id"]) for line in lines if "job_id" in line)
    verbs = ("job_accepted", "job_claimed", "job_started", "run_recorded", "job_ended", "delivery_recorded")
    return {(verb, job): told[verb, job] for verb in verbs for job in job_ids} == {
        (verb, job): 1 for verb in verbs for job in job_ids
    }


def files_with(folder: Path, texts: list[str]) -> list[str]:
    wanted = [text.encode() for text in texts]
    return [
        str(path)
        for path in folder.rglob("*")
        if path.is_file() and any(text in content for content in [path.read_bytes()] for text in wanted)
    ]


def broker_holds_none_of(product: Product, texts: list[str]) -> bool:

    url = json.loads((product.data_dir / "connections.json").read_text())["broker"]
    broker = redis.Redis(unix_socket_path=url.removeprefix("redis+socket://").split("?")[0])
    dumped = b"".join(broker.dump(key) or b"" for key in broker.scan_iter())
    broker.close()
    return not any(text.encode() in dumped for text in texts)
