-- A claim whose message was lost, or a try whose worker fell silent: pending again and still due. Index: delivery_leased.
-- A try that may have gone out stays counted.
WITH dead AS MATERIALIZED (
  SELECT delivery_id FROM delivery_live
  WHERE state IN ('dispatched', 'delivering') AND lease_until < clock_timestamp()
  ORDER BY delivery_id LIMIT %(limit)s
  FOR UPDATE SKIP LOCKED
)
UPDATE delivery_live l SET state = 'pending', epoch = l.epoch + 1, lease_until = NULL, worker_id = NULL
FROM dead WHERE l.delivery_id = dead.delivery_id
RETURNING l.delivery_id
