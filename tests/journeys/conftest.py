"""One running product for the journeys that leave it whole; those that break it for good start their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.journeys.product import Product, running
from tests.journeys.receiver import Receiver, connected_receiver


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A journey starts a dozen processes; its own waits say what was late, so this bound is only for a hang."""
    for item in items:
        if "journeys" in item.path.parts:
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session")
def started_product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with running(tmp_path_factory.mktemp("product") / "var") as product:
        yield product


@pytest.fixture
def product(started_product: Product) -> Product:
    """The one product, ready again after what an earlier journey did to it."""
    started_product.wait_until_ready()
    return started_product


@pytest.fixture
def receiver(product: Product) -> Iterator[Receiver]:
    with connected_receiver(product) as connected:
        yield connected
