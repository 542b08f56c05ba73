"""The whole promise on real input: hundreds of real text files are counted by the shipped example as a tenant's own
endpoint, every result is right, every callback verifies, none is missing and no job is told twice, while workers are
killed in the middle.
"""

from __future__ import annotations

import sysconfig
from pathlib import Path

from tests.journeys.example_receiver import count_text, running_example
from tests.journeys.product import Product, wait_until

FILES = 300


def real_texts(count: int) -> list[Path]:
    """Sources and documents of the Python that runs this test."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    found = [path for path in sorted(folder.rglob("*")) if path.suffix in (".py", ".txt", ".rst") and path.is_file()]
    small = [path for path in found if 0 < path.stat().st_size < 200_000]
    return small[:: max(1, len(small) // count)][:count]


def test_every_file_is_counted_and_told_once_though_workers_are_killed(product: Product, tmp_path: Path) -> None:
    files = real_texts(FILES)
    assert len(files) == FILES
    with running_example(product, tmp_path) as receiver:
        texts = {}
        for number, path in enumerate(files):
            text = path.read_text(errors="replace")
            callback_url = f"{receiver.address()}/events"
            job_id = product.submit(
                type="text.count", payload={"text": text}, callback_url=callback_url, tags={"file": path.name[:200]}
            )
            texts[job_id] = text
            receiver.verify_new_requests()
            if number in (FILES // 3, 2 * FILES // 3):
                product.kill(product.await_pid("egress"))

        ended = product.wait_for_end(list(texts), seconds=180)
        receiver.verify_new_requests()
        assert {job["state"] for job in ended.values()} == {"completed"}
        results = {job_id: count_text(text) for job_id, text in texts.items()}
        for job_id, result in results.items():
            assert product.job(job_id, include="result")["result"] == result

        def has_all() -> bool:
            receiver.verify_new_requests()
            return len(receiver.events()) >= FILES and set(receiver.told) >= set(texts)

        wait_until(has_all, seconds=60, what="every callback arrived")
        assert receiver.refusals() == []
        # A try may be repeated under the same id when its answer was lost with a worker; a second id never appears.
        assert {job_id: ids for job_id, ids in receiver.told.items() if len(ids) != 1} == {}
        # The example keeps each event once, however often it comes.
        events = receiver.events()
        assert len(events) == FILES
        assert {event["data"]["job"]["id"]: event["data"]["result"] for event in events} == results
        for job_id in texts:
            assert receiver.runs[job_id] <= ended[job_id]["attempt"]
