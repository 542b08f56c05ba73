"""What tests of replays say often: an endpoint with deliveries in some state, a replay of them, and what came of it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models.functions import Now

from jobservice import ids
from jobservice.webhooks.endpoints import EndpointView
from jobservice.webhooks.models import Delivery, LiveDelivery
from tests.factories import Tenant
from tests.webhooks.test_endpoints import end_job

SINCE = "2020-01-01T00:00:00Z"


def address(endpoint: EndpointView) -> str:
    return f"/v1/webhook-endpoints/{ids.show_id(ids.ENDPOINT, endpoint.id)}/replay"


def replay(
    api: Any, tenant: Tenant, endpoint: EndpointView, *, key: str | None = None, idempotency: str = "", **body: Any
) -> Any:
    """The answer to a replay of what failed, or of what the body says."""
    headers = {"Idempotency_Key": idempotency} if idempotency else {}
    return api.post(address(endpoint), {"since": SINCE, **body}, key=key or tenant.api_key, **headers)


def make_deliveries(tenant: Tenant, endpoint: EndpointView, *, state: str = "failed", count: int = 1) -> list[UUID]:
    """So many jobs that ended, and their deliveries to the endpoint, which are over."""
    before = set(Delivery.objects.values_list("id", flat=True))
    for _ in range(count):
        end_job(tenant)
    made = Delivery.objects.filter(endpoint_id=endpoint.id).exclude(id__in=before).order_by("id")
    found = list(made.values_list("id", flat=True))
    Delivery.objects.filter(id__in=found).update(final_state=state, finished_at=Now(), epoch=1, attempts=1)
    LiveDelivery.objects.filter(delivery_id__in=found).delete()
    return found


def under_way() -> dict[UUID, str]:
    """The state of each delivery that is not over."""
    return dict(LiveDelivery.objects.values_list("delivery_id", "state"))
