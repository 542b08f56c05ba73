"""Two running products for the journeys that leave them whole; those that break one for good start their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.journeys.product import Product, running
from tests.journeys.receiver import Receiver, connected_receiver

CALM_LEASE_SECONDS = 60.0
# These use one RabbitMQ and one Redis, which a product takes for its own.
ON_SHARED_BROKERS = ("test_brokers", "test_broker_connections", "test_consumer_watch")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A journey starts a dozen processes; its own waits say what was late, so this bound is only for a hang.

    Of those that run side by side, a file's follow one another: they share a product.
    """
    for item in items:
        if "journeys" in item.path.parts:
            item.add_marker(pytest.mark.timeout(900))
            group = "brokers" if item.path.stem in ON_SHARED_BROKERS else item.path.stem
            item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def started_product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with running(tmp_path_factory.mktemp("product") / "var") as product:
        yield product


@pytest.fixture
def product(started_product: Product) -> Product:
    """The one product, ready again after what an earlier journey did to it."""
    started_product.wait_until_ready()
    return started_product


@pytest.fixture(scope="session")
def calm_product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """One in which no run is killed, for what is counted exactly: by its leases a machine may stand still for a while
    and no run is taken for dead. It has a handler of its operator's, and its log tells all."""
    settings = {
        "JOBSERVICE_LEASE_SECONDS": f"{CALM_LEASE_SECONDS:g}",
        "JOBSERVICE_HANDLERS": "tests.journeys.walking",
        "JOBSERVICE_LOG_FORMAT": "json",
        "JOBSERVICE_LOG_LEVEL": "DEBUG",
    }
    with running(tmp_path_factory.mktemp("calm") / "var", **settings) as product:
        yield product


@pytest.fixture
def calm_receiver(calm_product: Product) -> Iterator[Receiver]:
    with connected_receiver(calm_product) as connected:
        yield connected


@pytest.fixture
def receiver(product: Product) -> Iterator[Receiver]:
    with connected_receiver(product) as connected:
        yield connected
