-- Held deliveries whose endpoint takes some again, or is gone: pending, and due as they were. Run by the dispatcher, again
-- and again: so none stays held that was made while its endpoint was being enabled. Index: delivery_held, walked from
-- endpoint to endpoint; those that are paused cost one look each.
WITH RECURSIVE holding AS (
  (SELECT endpoint_id FROM delivery_live WHERE state = 'held' ORDER BY endpoint_id LIMIT 1)
  UNION ALL
  SELECT (SELECT delivery_live.endpoint_id FROM delivery_live
          WHERE state = 'held' AND delivery_live.endpoint_id > holding.endpoint_id ORDER BY endpoint_id LIMIT 1)
  FROM holding WHERE holding.endpoint_id IS NOT NULL
), open AS MATERIALIZED (
  SELECT holding.endpoint_id FROM holding
  WHERE holding.endpoint_id IS NOT NULL AND NOT EXISTS (
    SELECT FROM webhook_endpoint WHERE id = holding.endpoint_id AND status <> 'enabled')
), held AS MATERIALIZED (
  SELECT first.delivery_id
  FROM open CROSS JOIN LATERAL (
    SELECT delivery_id FROM delivery_live WHERE endpoint_id = open.endpoint_id AND state = 'held'
    ORDER BY delivery_id LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
  ) AS first
  LIMIT %(limit)s
)
UPDATE delivery_live l SET state = 'pending' FROM held WHERE l.delivery_id = held.delivery_id
RETURNING l.delivery_id
