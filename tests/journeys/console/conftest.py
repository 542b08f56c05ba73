"""A browser for the journeys of the console, and a page of whoever a file's `session` stands for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.journeys.console.session import browsing, close_context, open_context
from tests.journeys.product import Product


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as started:
        yield started


@pytest.fixture
def page(browser: Browser, product: Product, session: str) -> Iterator[Page]:
    context = open_context(browser, product, session)
    yield context.new_page()
    close_context(context)
