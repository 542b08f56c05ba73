"""What a stranger may send: a form of a few kilobytes whose length is said, and no file; judged before it is read."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIRequest
from django.test import Client
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

from tenants.console.access import ConsoleView
from tenants.console.middleware import BODY_LIMIT
from tenants.console.reset import AskReset
from tests.console.people import FORM, Browser
from tests.roles import as_role

pytestmark = pytest.mark.django_db

PATHS = ["/console/login", "/console/reset", "/console/invitation/js_invite_x", "/console/members/invite", "/console/x"]


class Unread(BytesIO):
    """A body that must not be read."""

    def read(self, *_sizes: Any) -> bytes:
        raise AssertionError("the body was read")


def send(path: str, *, content_type: str = FORM, **meta: str) -> Any:
    environ: dict[str, Any] = {"CONTENT_TYPE": content_type, "wsgi.input": Unread(), **meta}
    client = Client(enforce_csrf_checks=True, HTTP_HOST="localhost", **environ)
    with as_role("web"):
        return client.generic("POST", path, secure=True)


@pytest.mark.parametrize("path", PATHS)
def test_too_long_a_form_is_refused_unread(path: str) -> None:
    assert send(path, CONTENT_LENGTH=str(BODY_LIMIT + 1)).status_code == 413


@pytest.mark.parametrize("path", PATHS)
def test_a_form_of_no_said_length_is_refused_unread(path: str) -> None:
    assert send(path, HTTP_TRANSFER_ENCODING="chunked").status_code == 411


@pytest.mark.parametrize("content_type", [MULTIPART_CONTENT, "multipart/form-data", "application/json", "text/plain"])
def test_files_and_what_is_no_form_are_refused_unread(content_type: str) -> None:
    assert send("/console/login", content_type=content_type, CONTENT_LENGTH="200").status_code == 415


def test_a_form_of_the_longest_length_is_taken() -> None:
    browser = Browser()
    browser.get("/console/login")
    assert browser.post("/console/login", {"email": "x" * (BODY_LIMIT - 300)}).status_code == 422


def test_a_page_may_take_more_or_less(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ConsoleView.body_limit == BODY_LIMIT
    monkeypatch.setattr(AskReset, "body_limit", 10)
    assert send("/console/reset", CONTENT_LENGTH="11").status_code == 413
    assert send("/console/login", CONTENT_LENGTH="0").status_code == 403


def test_a_file_is_kept_nowhere_even_where_one_is_parsed() -> None:
    body = encode_multipart(BOUNDARY, {"file": BytesIO(b"x" * 3_000_000), "email": "ada@example.com"})
    request = WSGIRequest(
        {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/",
            "CONTENT_TYPE": MULTIPART_CONTENT,
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": BytesIO(body),
        }
    )
    assert request.POST["email"] == "ada@example.com"
    assert not request.FILES
