"""Operations on a run that its endpoint completes later. The address is the right to them: it holds a signed token.

Each takes a turn of the tenant's requests, as a request with a key does. A suspended tenant's runs may end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast
from uuid import UUID

from django.db import InterfaceError, OperationalError
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from rest_framework.response import Response

from api.queries import read_no_parameters
from api.rate_limits import IsWithinRateLimit
from api.views import AddressedView
from api.wrong_keys import wrong_tokens
from jobservice.client_address import client_address
from jobservice.database import drop_dead_connections
from jobservice.errors import NotFound
from jobservice.jobs.completion import (
    complete_run,
    extend_run,
    parse_completion,
    parse_extension,
    parse_progress,
    report_progress,
)
from jobservice.jobs.completion_token import RunRef, is_token, read_token
from jobservice.jobs.outcomes import RESULT_LIMIT_BYTES
from jobservice.jobs.representation import show_time
from tenants.tenancy import ERASED, read_tenant

# What a body may hold besides its result, white space and escapes among it.
_ENVELOPE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class RunCredential:
    """A token that was checked: whose run it is of, and what limits that tenant."""

    run: RunRef
    quotas: Mapping[str, int | None]

    @property
    def tenant_id(self) -> UUID:
        return self.run.tenant_id


class CompletionTokenAuthentication(BaseAuthentication):
    """The token of the address → a `RunCredential`, as the request's `auth` and `user`."""

    def authenticate(self, request: Request) -> tuple[RunCredential, RunCredential]:
        """The credential. Raises `NotFound`, the same for whatever is wrong with the token, and `ApiProblem`
        (`rate-limited`) after too many wrong ones: each may cost a look for a tenant's keys.
        """
        text = request.parser_context["kwargs"]["token"]
        if not is_token(text):
            raise _unknown_run()
        address = client_address(request._request)
        wrong_tokens.check(address, text)
        credential = _look_up(text)
        if credential is None:
            wrong_tokens.note_wrong(address)
            raise _unknown_run()
        wrong_tokens.note_right(text)
        return credential, credential


class RunView(AddressedView):
    """An operation on the run that the address names."""

    authentication_classes = (CompletionTokenAuthentication,)
    permission_classes = (IsWithinRateLimit,)

    @property
    def run(self) -> RunRef:
        return cast(RunCredential, self.request.auth).run


class CompleteRun(RunView):
    most_body_bytes = RESULT_LIMIT_BYTES + _ENVELOPE_BYTES

    def post(self, request: Request, token: str) -> Response:
        """End the run: 200 with the state that its job is in now."""
        read_no_parameters(request)
        return Response(complete_run(self.run, parse_completion(request.data)))


class ExtendRun(RunView):
    most_body_bytes = _ENVELOPE_BYTES

    def post(self, request: Request, token: str) -> Response:
        """Prolong the lease of the run: 200 with its end, and whether the run should stop."""
        read_no_parameters(request)
        extension = extend_run(self.run, parse_extension(request.data))
        return Response(
            {
                "lease_expires_at": show_time(extension.lease_expires_at),
                "cancel_requested": extension.is_cancel_requested,
            }
        )


class ReportProgress(RunView):
    most_body_bytes = _ENVELOPE_BYTES

    def post(self, request: Request, token: str) -> Response:
        """Say how far the run is: 200, and whether it should stop."""
        read_no_parameters(request)
        return Response({"cancel_requested": report_progress(self.run, parse_progress(request.data))})


def _look_up(text: str) -> RunCredential | None:
    """The credential, or None. The first statement of the request: it is the one that meets a connection that died."""
    try:
        return _read(text)
    except (OperationalError, InterfaceError):
        if not drop_dead_connections():
            raise
        return _read(text)


def _read(text: str) -> RunCredential | None:
    run = read_token(text)
    tenant = None if run is None else read_tenant(run.tenant_id)
    return None if run is None or tenant is None or tenant.status == ERASED else RunCredential(run, tenant.quotas)


def _unknown_run() -> NotFound:
    """The same for a malformed token, a forged one, another tenant's job under it, and an erased tenant's."""
    return NotFound("There is no run of this address.")
