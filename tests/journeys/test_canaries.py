"""1,000 secrets go through every door of the running product, and are found nowhere but in its sealed columns: not in
the database's files, its log of writes, a dump, the broker, any log, metric, answer, temporary file or command line.
Each place holds a decoy, which is found: the search bites.
"""

from __future__ import annotations

import json
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.chaos.site import superuser_url
from tests.journeys.canaries import Canaries, forms_of
from tests.journeys.canary_doors import Doors
from tests.journeys.canary_places import (
    Plant,
    dump_database,
    plant_message,
    read_broker,
    read_files,
    read_metrics,
    read_processes,
)
from tests.journeys.canary_receiver import CanaryReceiver, receiving_canaries
from tests.journeys.product import Product, wait_until
from tests.journeys.tap import Tap, tapped_broker, tapped_valkey
from tests.journeys.test_brokers import brokers
from tests.ports import free_port

EMBEDDED = "valkey"
# No text of anybody's choice gets into it; that it was read is seen by what it always says.
METRICS, ALWAYS = "metrics", b"jobservice_jobs_finished_total{"


@pytest.mark.parametrize("broker_url", [EMBEDDED, *brokers()], ids=lambda url: urlsplit(url).scheme or url)
def test_no_secret_leaves_its_sealed_columns(tmp_path: Path, broker_url: str) -> None:
    canaries = Canaries()
    places: dict[str, bytes] = {}
    with (
        tempfile.TemporaryDirectory(prefix="canaries-", dir="/tmp") as folder,
        running_tapped(tmp_path / "var", Path(folder), broker_url, decoy=canaries.decoy) as (product, tap, plant),
        receiving_canaries(canaries) as receiver,
    ):
        doors = Doors(product, canaries, url=receiver.url)
        doors.open_all()
        await_ends(product, doors, receiver)
        assert sum(canaries.doors.values()) >= 1000, canaries.doors
        plant_decoys(product, canaries, Path(folder), plant)
        places["the broker's memory and files"] = read_broker(product, broker_url, is_read=canaries.has_decoy)
        places["what passed the broker"] = tap.heard
        places["a dump of the database"] = dump_database(product)
        places["command lines and environments"] = read_processes(product)
        places[METRICS] = read_metrics(product)
        product.stop()
        places |= read_files(product, Path(folder))
        refusals, heard = "".join(doors.refusals).encode(), "".join(receiver.headers).encode()
    found = {name: canaries.find(content) for name, content in places.items()}
    assert {name: hits for name, hits in found.items() if hits} == {}
    assert ALWAYS in places[METRICS]
    assert [name for name, content in places.items() if not canaries.has_decoy(content)] == [METRICS]
    # Who was refused reads nothing of what was sent, and no endpoint a header that is another one's secret.
    assert (canaries.find(refusals), canaries.find(heard)) == ([], [])


def test_every_form_of_a_canary_is_found() -> None:
    canaries = Canaries()
    text = canaries.new("here")
    for form in forms_of(text.encode()):
        assert canaries.find(b"before " + form + b" after"), form
    secret = canaries.keep("keys", "js_live_abcdefghijkl_" + "s3cr3t" * 8)
    assert canaries.find(b"x" + secret.encode())
    assert not canaries.find(b"js_live_abcdefghijkl cnry" + bytes(99))


@contextmanager
def running_tapped(
    data_dir: Path, temporary: Path, broker_url: str, *, decoy: str
) -> Iterator[tuple[Product, Tap, Plant]]:
    """The product at its most talkative, its broker listened to, and a way to put a message into that."""
    port, metrics_port = free_port(), free_port()
    temporary.chmod(0o777)
    environment = {
        "JOBSERVICE_LOG_FORMAT": "json",
        "JOBSERVICE_LOG_LEVEL": "DEBUG",
        # That of a real start, for no worker is killed here.
        "JOBSERVICE_LEASE_SECONDS": "30",
        "JOBSERVICE_METRICS_PORT": str(metrics_port),
        "JOBSERVICE_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "JOBSERVICE_HANDLERS": "tests.journeys.canary_handlers",
        "TMPDIR": str(temporary),
        "DECOY": decoy,
    }
    with ExitStack() as stack:
        if broker_url != EMBEDDED:
            tap, environment["BROKER_URL"] = stack.enter_context(tapped_broker(broker_url))
        product = Product(data_dir, port=port, environment=environment)
        stack.callback(lambda: product.supervisor and product.stop())
        product.start()
        if broker_url == EMBEDDED:
            url = json.loads((data_dir / "connections.json").read_text())["broker"]
            tap, client = stack.enter_context(tapped_valkey(url))
            yield product, tap, lambda text: client.set("decoy", text)
        else:
            yield product, tap, lambda text: plant_message(environment["BROKER_URL"], text)


def await_ends(product: Product, doors: Doors, receiver: CanaryReceiver) -> None:
    product.wait_for_end(doors.jobs, seconds=240)
    states = [product.job(job)["state"] for job in doors.jobs]
    assert {"completed", "discarded", "cancelled"} <= set(states)
    wait_until(lambda: set(receiver.callbacks) >= set(doors.jobs[:100]), seconds=120, what="every callback arrived")
    # Read once by whoever may: what is opened is in nobody's log, and not kept.
    for job in doors.jobs[:50]:
        for path in (f"{job}?include=payload,metadata,result", f"{job}/attempts", f"{job}/events"):
            assert product.call("GET", f"/v1/jobs/{path}")[0] == 200


def plant_decoys(product: Product, canaries: Canaries, temporary: Path, plant: Plant) -> None:
    """Where the product itself puts nothing that a test could choose; tags are in the database already."""
    plant(canaries.decoy)
    request = urllib.request.Request(product.address + "/v1/jobs", headers={"X-Request-Id": canaries.decoy})
    with suppress(urllib.error.HTTPError):
        urllib.request.urlopen(request, timeout=30)
    (temporary / "decoy").write_bytes(canaries.decoy.encode().hex().encode())
    with psycopg.connect(superuser_url(product), autocommit=True) as connection:
        connection.execute("CHECKPOINT")
