"""Each verb of a job's life is one line of the log, whichever process did it. That no line holds a secret is seen by
`test_canaries.py`.
"""

from __future__ import annotations

import json
import re
from collections import Counter

from tests.journeys.product import Product, wait_until
from tests.journeys.receiver import Receiver

VERBS = ("job_accepted", "job_claimed", "job_started", "run_recorded", "job_ended", "delivery_recorded")


def test_each_verb_of_each_job_is_told_once(calm_product: Product, calm_receiver: Receiver) -> None:
    product, told = calm_product, {"callback_url": calm_receiver.url}
    jobs = [
        product.submit(type="echo", payload=1, **told),
        product.submit(type="text.count", payload={"text": "some words"}, **told),
        product.submit(type="sleep", payload={"seconds": "for ever"}, max_attempts=1, **told),
    ]
    ended = product.wait_for_end(jobs)
    assert [ended[job]["state"] for job in jobs] == ["completed", "completed", "discarded"]
    # What is written is told a moment later.
    wait_until(lambda: all(count_lines(product.log, jobs).values()), seconds=60, what="every verb is told")
    assert count_lines(product.log, jobs) == {(verb, job): 1 for verb in VERBS for job in jobs}


def count_lines(log: str, job_ids: list[str]) -> dict[tuple[str, str], int]:
    lines = [
        json.loads(line) for line in re.findall(r"^(?:web|dispatcher|handlers|egress) +\| ({.*})$", log, re.MULTILINE)
    ]
    told = Counter((line["event"], line["job_id"]) for line in lines if "job_id" in line)
    return {(verb, job): told[verb, job] for verb in VERBS for job in job_ids}
