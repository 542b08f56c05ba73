"""GET /v1/openapi.json: the document is valid, whole, up to date, and its examples are what they stand for.

That the service does what it says is seen in every other test: `tests/contract.py` holds each answer against it.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from openapi_spec_validator import validate

from api.management.commands import openapi as command
from api.openapi.document import build_document, find_declaration, list_operations, write_document
from api.problems import PROBLEM_TYPES
from api.views import AddressedView, ApiView, PublicView
from jobservice.webhooks.event_types import SENT_TYPES
from tests.api.keys import faults, problem
from tests.contract import check_example, check_exchange

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    built: dict[str, Any] = json.loads(write_document(build_document()))
    return built


def operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in document["paths"].values():
        yield from path.values()


def test_the_document_is_valid_openapi(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    validate(document)


def test_the_kept_document_is_up_to_date() -> None:
    call_command("openapi", "--check", stdout=io.StringIO())


def test_a_document_that_is_not_up_to_date_is_told_by_its_differences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, shown = tmp_path / "openapi.json", io.StringIO()
    monkeypatch.setattr(command, "DOCUMENT_PATH", kept)
    call_command("openapi", stdout=shown)
    kept.write_text(kept.read_text().replace('"submitJob"', '"sendJob"'))
    with pytest.raises(CommandError, match="not up to date"):
        call_command("openapi", "--check", stdout=shown)
    assert '-        "operationId": "sendJob",' in shown.getvalue()
    call_command("openapi", stdout=shown)
    call_command("openapi", "--check", stdout=shown)


def test_everyone_may_read_it_and_read_it_once(api: Any) -> None:
    answer = api.get("/v1/openapi.json")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    assert answer.json()["info"]["title"] == "jobservice"
    again = api.get("/v1/openapi.json", If_None_Match=answer.headers["ETag"])
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", answer.headers["ETag"])
    problem(api.post("/v1/openapi.json", {}), 405, "method-not-allowed")


def test_unknown_parameters_are_refused_but_not_of_a_probe(api: Any) -> None:
    assert faults(api.get("/v1/openapi.json?format=yaml")) == {("/format", "unknown-parameter")}
    for probe in ("/healthz", "/readyz", "/metrics"):
        assert api.get(f"{probe}?at=1").status_code in (200, 503)


def test_an_operation_without_a_declaration_stops_the_document() -> None:
    class Undeclared(ApiView):
        required_scopes = frozenset({"jobs:read"})

    with pytest.raises(ImproperlyConfigured, match="Undeclared is not declared"):
        find_declaration(Undeclared)


def test_every_operation_says_which_scopes_it_needs(document: dict[str, Any]) -> None:
    for address, method, view in list_operations():
        operation = document["paths"][address][method.lower()]
        scopes, others = sorted(view.required_scopes), sorted(view.other_scopes)
        ways = [] if issubclass(view, PublicView | AddressedView) else [{"apiKey": scopes}]
        assert operation["security"] == [*ways, *([{"apiKey": others}] if others else [])]
        assert operation.get("x-required-scopes", []) == scopes
        assert all(f"`{scope}`" in operation["description"] for scope in [*scopes, *others])


def test_every_operation_has_examples_that_are_right(document: dict[str, Any]) -> None:
    for operation in operations(document):
        answers = [resolve(document, answer) for answer in operation["responses"].values()]
        for part in [operation.get("requestBody", {}), *answers]:
            for media_type, content in part.get("content", {}).items():
                examples = [example["value"] for example in content.get("examples", {}).values()]
                examples += [content["example"]] if "example" in content else []
                assert examples or not media_type.endswith("json"), operation["operationId"]
                for example in examples:
                    check_example(content["schema"], example)


def test_the_examples_of_webhooks_are_right(document: dict[str, Any]) -> None:
    assert set(document["webhooks"]) == {*SENT_TYPES, "job.run"}
    for webhook in document["webhooks"].values():
        content = webhook["post"]["requestBody"]["content"]["application/json"]
        check_example(content["schema"], content["example"])


def test_every_text_that_a_client_writes_says_which_characters_it_may_have(document: dict[str, Any]) -> None:
    for operation in operations(document):
        for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
            loose = [
                pointer
                for pointer, schema in walk(document, content["schema"])
                if "string" in listed(schema.get("type")) and not schema.keys() & {"pattern", "enum", "format", "const"}
            ]
            assert not loose, (operation["operationId"], media_type)


# What any address may answer, and what only operations that are still to come will.
EVERYWHERE = {"method-not-allowed", "request-timeout", "uri-too-long", "headers-too-large"}
AWAITED: set[str] = set()


def test_every_problem_has_a_schema_and_some_answer(document: dict[str, Any]) -> None:
    text = json.dumps(document["paths"])
    for code, kind in PROBLEM_TYPES.items():
        name = "".join(word.capitalize() for word in code.split("-")) + "Problem"
        members = document["components"]["schemas"][name]["properties"]
        assert (members["type"]["const"], members["status"]["const"]) == (f"/docs/problems/{code}", kind.status)
        assert f'{name}"' in text or code in EVERYWHERE | AWAITED, code


def test_links_and_callbacks_lead_somewhere(document: dict[str, Any]) -> None:
    known = {operation["operationId"]: operation for operation in operations(document)}
    assert len(known) == len(list(operations(document)))
    for operation in known.values():
        for answer in operation["responses"].values():
            for link in resolve(document, answer).get("links", {}).values():
                names = {parameter["name"] for parameter in known[link["operationId"]]["parameters"]}
                assert set(link["parameters"]) <= names
    for name, callback in known["submitJob"]["callbacks"].items():
        (target,) = callback.values()
        assert resolve(document, target) == document["webhooks"][name]


JOB = {"Content-Type": "application/json", "X-Request-Id": "r"}
PROBLEM = {"Content-Type": "application/problem+json", "X-Request-Id": "r"}
NOT_FOUND = {
    "type": "/docs/problems/not-found",
    "title": "t",
    "status": 404,
    "detail": "d",
    "code": "not-found",
    "request_id": "r",
}


@pytest.mark.parametrize(
    ("method", "target", "status", "headers", "body", "fault"),
    [
        ("GET", "/v1/jobs", 200, JOB, {"data": [], "next_cursor": None}, None),
        ("GET", "/v1/jobs", 204, JOB, None, "is not in the document"),
        ("GET", "/v1/jobs", 200, {"Content-Type": "application/json"}, {}, "lacks the header X-Request-Id"),
        ("GET", "/v1/jobs", 200, JOB, {"data": []}, '"next_cursor" is a required property'),
        ("GET", "/v1/jobs", 200, JOB, {"data": [], "next_cursor": None, "more": 1}, "more"),
        ("GET", "/v1/jobs", 200, {**JOB, "Content-Type": "text/plain"}, {}, "is text/plain"),
        ("GET", "/v1/jobs", 404, PROBLEM, NOT_FOUND, "is not in the document"),
        ("GET", "/v1/jobs/job_1", 404, PROBLEM, NOT_FOUND, None),
        ("GET", "/v1/jobs/job_1", 404, PROBLEM, {**NOT_FOUND, "code": "gone"}, '"not-found" was expected'),
        ("GET", "/nowhere", 404, PROBLEM, NOT_FOUND, None),
        ("GET", "/nowhere", 200, JOB, {}, "is not in the document"),
    ],
)
def test_an_answer_that_the_document_does_not_describe_is_found(
    method: str, target: str, status: int, headers: dict[str, str], body: Any, fault: str | None
) -> None:
    content = b"" if body is None else json.dumps(body).encode()
    answer = SimpleNamespace(status_code=status, headers=headers, content=content)
    if fault is None:
        check_exchange(method, target, b"", answer)
    else:
        with pytest.raises(AssertionError, match=fault):
            check_exchange(method, target, b"", answer)


def test_a_request_that_was_taken_against_the_document_is_found(api: Any, tenant: Any) -> None:
    answer = api.post("/v1/jobs", {"type": "echo"}, key=tenant.api_key)
    with pytest.raises(AssertionError, match="the request that was taken"):
        check_exchange("POST", "/v1/jobs", b'{"type": "echo", "priority": 10}', answer)


def resolve(document: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """What a reference leads to."""
    if "$ref" not in part:
        return part
    found: Any = document
    for name in part["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return resolve(document, found)


def listed(kind: Any) -> list[str]:
    return kind if isinstance(kind, list) else [kind]


def walk(document: dict[str, Any], part: Any, pointer: str = "", within: tuple[str, ...] = ()) -> Iterator[Any]:
    """Every schema inside one, with its place; a schema that holds itself is followed once."""
    if isinstance(part, list):
        for number, item in enumerate(part):
            yield from walk(document, item, f"{pointer}/{number}", within)
    if not isinstance(part, dict) or part.get("$ref") in within:
        return
    if "$ref" in part:
        yield from walk(document, resolve(document, part), pointer, (*within, part["$ref"]))
        return
    yield pointer, part
    for keyword, inner in part.items():
        if keyword not in ("example", "examples", "default", "enum", "const"):
            yield from walk(document, inner, f"{pointer}/{keyword}", within)
