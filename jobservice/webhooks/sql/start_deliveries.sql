-- start: a dispatched delivery of the named epoch goes out under this worker's lease. Rows are locked in id order, as every
-- grouped write does. Index: the primary key.
-- Nothing is joined here: no statement that may wait for a row's lock reads partitions too. When PostgreSQL 18 looks at
-- such a row again after the wait, it shares the pruning state of the whole statement, and has crashed in it.
WITH ref AS MATERIALIZED (
  SELECT * FROM unnest(%(tenants)s::uuid[], %(deliveries)s::uuid[], %(epochs)s::bigint[])
    AS r (tenant_id, delivery_id, epoch)
), held AS MATERIALIZED (
  SELECT l.delivery_id FROM delivery_live l JOIN ref USING (tenant_id, delivery_id, epoch)
  WHERE l.state = 'dispatched'
  ORDER BY l.delivery_id FOR UPDATE OF l
)
UPDATE delivery_live l
SET state = 'delivering', attempt = l.attempt + 1, worker_id = %(worker)s,
    lease_until = clock_timestamp() + make_interval(secs => %(lease_seconds)s)
FROM held WHERE l.delivery_id = held.delivery_id
RETURNING l.tenant_id, l.delivery_id
