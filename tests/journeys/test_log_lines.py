"""Each verb of a job's life is one line of the log, whichever process did it. That no line holds a secret is seen by
`test_canaries.py`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

from tests.journeys.product import running, wait_until
from tests.journeys.receiver import connected_receiver

VERBS = ("job_accepted", "job_claimed", "job_started", "run_recorded", "job_ended", "delivery_recorded")


def test_each_verb_of_each_job_is_told_once(tmp_path: Path) -> None:
    told_all = {"JOBSERVICE_LOG_FORMAT": "json", "JOBSERVICE_LOG_LEVEL": "DEBUG"}
    # No machine stands still for so long that a run is taken for dead, and begins again.
    told_all["JOBSERVICE_LEASE_SECONDS"] = "60"
    with running(tmp_path / "var", **told_all) as product, connected_receiver(product) as receiver:
        told = {"callback_url": receiver.url}
        jobs = [
            product.submit(type="echo", payload=1, **told),
            product.submit(type="text.count", payload={"text": "some words"}, **told),
            product.submit(type="sleep", payload={"seconds": "for ever"}, max_attempts=1, **told),
        ]
        ended = product.wait_for_end(jobs)
        assert [ended[job]["state"] for job in jobs] == ["completed", "completed", "discarded"]
        wait_until(lambda: set(receiver.callbacks) >= set(jobs), seconds=60, what="every callback arrived")
        product.stop()
        assert count_lines(product.log, jobs) == {(verb, job): 1 for verb in VERBS for job in jobs}


def count_lines(log: str, job_ids: list[str]) -> dict[tuple[str, str], int]:
    lines = [json.loads(line) for line in re.findall(r"{.*}$", log, re.MULTILINE)]
    told = Counter((line["event"], line["job_id"]) for line in lines if "job_id" in line)
    return {(verb, job): told[verb, job] for verb in VERBS for job in job_ids}
