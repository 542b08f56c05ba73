-- erase, first: what is on its way to a receiver is not sent again. A try under way loses its row, so that its outcome
-- is refused as stale. Index: delivery_live by primary key.
-- Locked in id order, as every grouped write of deliveries does; a record that holds one is waited for, which is why no
-- partitioned table is joined here (see lock_waiting_job.sql).
WITH held AS MATERIALIZED (
  SELECT delivery_id FROM delivery_live
  WHERE tenant_id = %(tenant)s AND delivery_id = ANY (%(deliveries)s::uuid[])
  ORDER BY delivery_id FOR UPDATE
)
DELETE FROM delivery_live l USING held WHERE l.delivery_id = held.delivery_id
RETURNING l.delivery_id
