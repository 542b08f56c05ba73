"""The statements that find the deliveries of a replay: how many there are, and the next ones in the order of their ids.

A delivery is made with its event, so the bounds on its id leave out the partitions, and the event's time decides.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from jobservice.webhooks.replay_filters import ReplayFilters

# Ids hold the clock of whoever made them, events the database's: by how much the two may differ.
CLOCK_SLACK = timedelta(hours=1)

# Index: delivery_of_endpoint, walked over the window. LATERAL with a LIMIT, and no plain join: each row is one probe by
# its id, whatever the planner knows (read_started_jobs.sql), and only of deliveries whose own row lets them through.
_FROM = """FROM delivery AS d{live}
CROSS JOIN LATERAL (
  SELECT type, at FROM event WHERE event.id = d.event_id AND event.tenant_id = %(tenant)s LIMIT 1
) AS e
WHERE d.tenant_id = %(tenant)s AND d.endpoint_id = %(endpoint)s{conditions}
  AND d.id >= uuid7_at(greatest(%(since)s - %(slack)s, 'epoch'))
  AND e.at >= %(since)s AND e.type = ANY (%(types)s)
"""
_LIVE = """
LEFT JOIN LATERAL (
  SELECT state FROM delivery_live AS l WHERE l.delivery_id = d.id AND l.tenant_id = %(tenant)s LIMIT 1
) AS live ON d.final_state IS NULL"""
_CONDITIONS = {
    "until": "d.id <= uuid7_at(greatest(%(until)s + %(slack)s, 'epoch')) AND e.at < %(until)s",
    "after": "d.id > %(after)s",
    "up_to": "d.id <= %(up_to)s",
    "made_by": "d.created_at <= %(made_by)s",
}
_ENDED = "d.final_state = ANY (%(states)s)"
# To everyone else one that waits for its next try is pending, and one that the dispatcher has just claimed, too.
_ENDED_OR_PENDING = (
    "(d.final_state IS NULL OR d.final_state = ANY (%(states)s))"
    " AND (d.final_state IS NOT NULL OR live.state IN ('waiting', 'pending', 'dispatched'))"
)
_MEASURE = """
WITH found AS MATERIALIZED ({found})
SELECT count(*), (SELECT id FROM found ORDER BY id DESC LIMIT 1), statement_timestamp() FROM found
"""


def measure_deliveries(
    tenant_id: UUID, endpoint_id: UUID, filters: ReplayFilters, *, limit: int
) -> tuple[int, UUID | None, datetime]:
    """How many deliveries to the endpoint there are now, counted up to `limit` from the oldest on, the id of the last
    one counted, and the database's time: deliveries made later have a later one. In a transaction of the tenant."""
    matching, parameters = _matching(tenant_id, endpoint_id, filters)
    found = f"SELECT d.id {matching} AND d.created_at <= statement_timestamp() ORDER BY d.id LIMIT %(limit)s"
    with connection.cursor() as cursor:
        cursor.execute(_MEASURE.format(found=found), {**parameters, "limit": limit})
        matched, last_id, now = cursor.fetchone()
    return matched, last_id, now


def find_delivery_ids(
    tenant_id: UUID,
    endpoint_id: UUID,
    filters: ReplayFilters,
    *,
    after: UUID | None,
    up_to: UUID | None,
    made_by: datetime,
    limit: int,
) -> list[UUID]:
    """The ids of the oldest ones after one and up to another, made by a moment. In a transaction of the tenant."""
    matching, parameters = _matching(tenant_id, endpoint_id, filters, after=after, up_to=up_to, made_by=made_by)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT d.id {matching} ORDER BY d.id LIMIT %(limit)s", {**parameters, "limit": limit})
        return [delivery_id for (delivery_id,) in cursor.fetchall()]


def _matching(tenant_id: UUID, endpoint_id: UUID, filters: ReplayFilters, **bounds: Any) -> tuple[str, dict[str, Any]]:
    """The part of a statement that says which deliveries, and its parameters. A bound that is None is none."""
    parameters: dict[str, Any] = {
        "tenant": tenant_id,
        "endpoint": endpoint_id,
        "since": filters.since,
        "until": filters.until,
        "states": list(filters.states),
        "types": filters.types,
        "slack": CLOCK_SLACK,
        **bounds,
    }
    wants_pending = "pending" in filters.states
    given = [condition for name, condition in _CONDITIONS.items() if parameters.get(name) is not None]
    conditions = [_ENDED_OR_PENDING if wants_pending else _ENDED, *given]
    statement = _FROM.format(
        live=_LIVE if wants_pending else "", conditions="".join(f" AND {condition}" for condition in conditions)
    )
    return statement, parameters
