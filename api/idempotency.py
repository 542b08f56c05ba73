"""The Idempotency-Key header: on every POST that creates, a request sent again gets the first answer, byte for byte."""

from __future__ import annotations

import re
from collections.abc import Callable

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from api.bodies import read_optional_body
from api.rendering import ApiRenderer
from jobservice.crash_points import crash_point
from jobservice.errors import Fault, Invalid
from jobservice.jobs.idempotency import KeptAnswer, claim_key, keep_answer, replace_answer
from tenants.api_keys import Credential
from tenants.context import tenant_tx

MAX_KEY_CHARACTERS = 255
_VISIBLE = re.compile(r"[\x20-\x7e]+")


def run_once(request: Request, credential: Credential, act: Callable[[], Response]) -> HttpResponseBase:
    """The answer of `act`, or the one it gave to an earlier request with the same key. One transaction for both.

    Without the header it is just `act`. Raises `Invalid`, `IdempotencyKeyInUse` and `IdempotencyKeyReused`.
    """
    key = read_idempotency_key(request)
    if key is None:
        return act()
    body = read_optional_body(request)
    with tenant_tx(credential.tenant_id):
        claimed = claim_key(credential.tenant_id, key, operation=_operation(request, credential), body=body)
        if claimed.answer is not None:
            return _answer(claimed.answer, is_replayed=True)
        answer = _kept(act())
        keep_answer(claimed, answer)
    crash_point("idempotency.committed")
    return _answer(answer, is_replayed=False)


def run_once_in_steps(
    request: Request, credential: Credential, begin: Callable[[], Response], go_on: Callable[[Response], Response]
) -> HttpResponseBase:
    """As `run_once`, for what begins in one transaction and goes on in others: the answer of `go_on` replaces that of
    `begin`, which a request gets that is sent again in between, or after this process died there.
    """
    key = read_idempotency_key(request)
    if key is None:
        return go_on(begin())
    with tenant_tx(credential.tenant_id):
        operation = _operation(request, credential)
        claimed = claim_key(credential.tenant_id, key, operation=operation, body=read_optional_body(request))
        if claimed.answer is not None:
            return _answer(claimed.answer, is_replayed=True)
        begun = begin()
        keep_answer(claimed, _kept(begun))
    ended = _kept(go_on(begun))
    with tenant_tx(credential.tenant_id):
        replace_answer(claimed, ended)
    return _answer(ended, is_replayed=False)


def read_idempotency_key(request: Request) -> str | None:
    """The key, written as the draft's quoted string or bare; None without the header. Raises `Invalid`."""
    text = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if text is None:
        return None
    is_quoted = len(text) >= 2 and text[0] == text[-1] == '"'
    key = text[1:-1] if is_quoted else text
    # A quote that is opened and not closed is a mistake, and no bare key.
    is_open = not is_quoted and key.startswith('"')
    if is_open or not (0 < len(key) <= MAX_KEY_CHARACTERS and _VISIBLE.fullmatch(key)):
        detail = f"The header Idempotency-Key has 1 to {MAX_KEY_CHARACTERS} visible ASCII characters, bare or quoted."
        raise Invalid([Fault("", "bad-format", detail)])
    return str(key)


def _operation(request: Request, credential: Credential) -> str:
    """What the key is for. API keys that reach other queues share no answers, which may tell of jobs out of reach."""
    reach = "*" if credential.queues is None else ",".join(sorted(credential.queues))
    return f"{request.method} {request.path} {reach}"


def _kept(response: Response) -> KeptAnswer:
    return KeptAnswer(response.status_code, dict(response.headers), ApiRenderer().render(response.data))


def _answer(answer: KeptAnswer, *, is_replayed: bool) -> HttpResponse:
    headers = dict(answer.headers)
    if is_replayed:
        headers["Idempotent-Replayed"] = "true"
    headers.pop("Content-Type", None)
    return HttpResponse(answer.body, status=answer.status, content_type="application/json", headers=headers)
