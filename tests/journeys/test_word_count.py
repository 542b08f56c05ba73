"""The whole promise on real input: hundreds of real text files are counted by a tenant's own endpoint, every result is
right, every callback verifies, none is missing and no job is told twice, while workers are killed in the middle.
"""

from __future__ import annotations

import sysconfig
from pathlib import Path

from tests.journeys.product import Product, wait_until
from tests.journeys.receiver import Receiver, count_words

FILES = 300


def real_texts(count: int) -> list[Path]:
    """Sources and documents of the Python that runs this test."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    found = [path for path in sorted(folder.rglob("*")) if path.suffix in (".py", ".txt", ".rst") and path.is_file()]
    small = [path for path in found if 0 < path.stat().st_size < 200_000]
    return small[:: max(1, len(small) // count)][:count]


def test_every_file_is_counted_and_told_once_though_workers_are_killed(product: Product, receiver: Receiver) -> None:
    files = real_texts(FILES)
    assert len(files) == FILES
    texts = {}
    for number, path in enumerate(files):
        text = path.read_text(errors="replace")
        job_id = product.submit(
            type="text.count", payload={"text": text}, callback_url=receiver.url, tags={"file": path.name[:200]}
        )
        texts[job_id] = text
        if number in (FILES // 3, 2 * FILES // 3):
            product.kill(product.pids("egress")[0])

    ended = product.wait_for_end(list(texts), seconds=180)
    assert {job["state"] for job in ended.values()} == {"completed"}
    for job_id, text in texts.items():
        assert product.job(job_id, include="result")["result"] == count_words(text)

    wait_until(lambda: set(receiver.callbacks) >= set(texts), seconds=60, what="every callback arrived")
    assert receiver.refused == []
    # A try may be repeated under the same id when its answer was lost with a worker; a second id never appears.
    assert {job_id: len(ids) for job_id, ids in receiver.callbacks.items() if len(ids) != 1} == {}
    told = {event["data"]["job"]["id"]: event["data"]["result"] for event in receiver.events}
    assert told == {job_id: count_words(text) for job_id, text in texts.items()}
    for job_id in texts:
        assert receiver.runs[job_id] <= ended[job_id]["attempt"]
