-- dispatch: pending deliveries that are due. Index: delivery_due, walked in order and left at the first that is not due;
-- statement_timestamp and not clock_timestamp, because an index condition must not change while it is read.
WITH due AS MATERIALIZED (
  SELECT delivery_id FROM delivery_live
  WHERE state = 'pending' AND due_at <= statement_timestamp()
  ORDER BY due_at, delivery_id LIMIT %(limit)s
  FOR UPDATE SKIP LOCKED
)
UPDATE delivery_live l
SET state = 'dispatched', epoch = l.epoch + 1,
    lease_until = clock_timestamp() + make_interval(secs => %(lease_seconds)s)
FROM due WHERE l.delivery_id = due.delivery_id
RETURNING l.tenant_id, l.delivery_id, l.epoch
