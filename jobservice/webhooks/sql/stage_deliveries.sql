-- dispatch: deliveries whose next try has become due. Index: delivery_waiting; statement_timestamp and not
-- clock_timestamp, because an index condition must not change while it is read.
WITH due AS MATERIALIZED (
  SELECT delivery_id FROM delivery_live
  WHERE state = 'waiting' AND due_at <= statement_timestamp()
  ORDER BY due_at, delivery_id LIMIT %(limit)s
  FOR UPDATE SKIP LOCKED
)
UPDATE delivery_live l SET state = 'pending' FROM due WHERE l.delivery_id = due.delivery_id
RETURNING l.delivery_id
