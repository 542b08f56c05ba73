-- erase, first: what is on its way to a receiver is not sent again. A try under way loses its row, so that its outcome
-- is refused as stale. Index: delivery_of_job, delivery_live by primary key.
-- Locked in id order, as every grouped write of deliveries does; a record that holds one is waited for.
WITH held AS MATERIALIZED (
  SELECT l.delivery_id
  FROM delivery_live l JOIN delivery d ON d.id = l.delivery_id AND d.tenant_id = l.tenant_id
  WHERE d.tenant_id = %(tenant)s AND d.job_id = %(job)s
  ORDER BY l.delivery_id FOR UPDATE OF l
)
DELETE FROM delivery_live l USING held WHERE l.delivery_id = held.delivery_id
RETURNING l.delivery_id
