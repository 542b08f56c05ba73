"""The base of every operation, and the rule that each declares its scopes before the process may start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, cast

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponseBase
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from api.problems import problem_response
from api.rendering import ApiRenderer
from jobservice import ids
from jobservice.client_address import REQUEST_ID_KEY, client_address
from tenants.acting import API_KEY, Actor, acting_as, set_actor
from tenants.api_keys import SCOPES, Credential

View = Callable[..., HttpResponseBase]


class ApiRequest(Request):
    """REST framework's request, whose body is always offered to the parser: a chunked one has no Content-Length."""

    def _load_stream(self) -> None:
        self._stream = self._request  # type: ignore[assignment]  # all that the parser asks of it is to be read


class ApiView(APIView):
    """One operation on behalf of a tenant. A subclass declares `required_scopes`."""

    required_scopes: ClassVar[frozenset[str]]
    # A key that has these in place of the required ones may call it too, for what they reach.
    other_scopes: ClassVar[frozenset[str]] = frozenset()
    # What it shows or changes is of every queue: keys that are limited to some may not.
    needs_every_queue: ClassVar[bool] = False
    # The body may always have this size, however small a payload the tenant may send.
    least_body_bytes: ClassVar[int] = 0
    # Whatever payload the tenant may send, the body of this operation has at most so many; None for no such bound.
    most_body_bytes: ClassVar[int | None] = None

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        return ApiRequest(
            request,
            parsers=self.get_parsers(),
            authenticators=self.get_authenticators(),
            negotiator=self.get_content_negotiator(),
            parser_context=self.get_parser_context(request),
        )

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        # Until its key is known nobody acts, and after the answer nobody any more: the thread goes on to others.
        with acting_as(None):
            return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if isinstance(request.auth, Credential):
            set_actor(_actor_of(request._request, request.auth))

    @property
    def credential(self) -> Credential:
        """Whose request it is."""
        return cast(Credential, self.request.auth)

    @property
    def default_response_headers(self) -> dict[str, str]:
        """None: REST framework's Allow knows one class only, and there is no second form for Vary to name."""
        return {}


def _actor_of(request: HttpRequest, credential: Credential) -> Actor:
    address = client_address(request)
    return Actor(
        API_KEY,
        ids.show_id(ids.API_KEY, credential.key_id),
        address=None if address is None else str(address),
        request_id=request.META.get(REQUEST_ID_KEY),
    )


class PublicView(ApiView):
    """An operation that anyone may call and that shows nothing of any tenant."""

    required_scopes = frozenset()
    authentication_classes = ()
    permission_classes = ()


class AddressedView(ApiView):
    """An operation whose address is itself the right to call it; the subclass's `authentication_classes` check it."""

    required_scopes = frozenset()


class PageView(PublicView):
    """A page for people or a part of one: it has one form, whatever a browser says it likes."""

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[BaseRenderer, str]:
        return ApiRenderer(), ApiRenderer.media_type


def by_method(**operations: type[ApiView]) -> View:
    """One address, one operation class per method; HEAD is GET without a body, every other method is a 405.

    Raises `ImproperlyConfigured` for an operation that does not say who may call it.
    """
    for operation in operations.values():
        check_declared_scopes(operation)
    views = {method: operation.as_view() for method, operation in operations.items()}
    if "GET" in views:
        views["HEAD"] = views["GET"]
    allowed = ", ".join(sorted(views))

    def dispatch(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        view = views.get(request.method or "")
        if view is None:
            detail = f"The methods of this address are {allowed}."
            return problem_response(request, "method-not-allowed", detail, headers={"Allow": allowed})
        return view(request, *args, **kwargs)

    dispatch.operations = operations  # type: ignore[attr-defined]  # for the check of all addresses
    return dispatch


def check_declared_scopes(operation: type[ApiView]) -> None:
    """Pass when the operation is public or addressed by its class, or declares known scopes.

    Raises `ImproperlyConfigured`.
    """
    if issubclass(operation, PublicView):
        return
    if issubclass(operation, AddressedView):
        if operation.authentication_classes in ([], (), ApiView.authentication_classes):
            raise ImproperlyConfigured(f"{operation.__name__} must say who checks its address.")
        return
    scopes: frozenset[str] = getattr(operation, "required_scopes", frozenset())
    if not scopes or not scopes | operation.other_scopes <= set(SCOPES):
        raise ImproperlyConfigured(f"{operation.__name__} must declare required_scopes out of {', '.join(SCOPES)}.")
