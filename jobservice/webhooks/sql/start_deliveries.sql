-- start: a dispatched delivery of the named epoch goes out under this worker's lease; one whose endpoint takes none is held
-- instead. Rows are locked in id order, as every grouped write does. Index: the primary keys.
-- Nothing is joined here: no statement that may wait for a row's lock reads partitions too. When PostgreSQL 18 looks at
-- such a row again after the wait, it shares the pruning state of the whole statement, and has crashed in it.
WITH ref AS MATERIALIZED (
  SELECT * FROM unnest(%(tenants)s::uuid[], %(deliveries)s::uuid[], %(epochs)s::bigint[])
    AS r (tenant_id, delivery_id, epoch)
), held AS MATERIALIZED (
  SELECT l.delivery_id,
         coalesce((SELECT endpoint.status <> 'enabled' FROM webhook_endpoint AS endpoint
                   WHERE endpoint.id = l.endpoint_id AND endpoint.tenant_id = l.tenant_id), false) AS is_held
  FROM delivery_live l JOIN ref USING (tenant_id, delivery_id, epoch)
  WHERE l.state = 'dispatched'
  ORDER BY l.delivery_id FOR UPDATE OF l
)
UPDATE delivery_live l
SET state = CASE WHEN held.is_held THEN 'held' ELSE 'delivering' END,
    epoch = l.epoch + held.is_held::integer, attempt = l.attempt + (NOT held.is_held)::integer,
    worker_id = CASE WHEN NOT held.is_held THEN %(worker)s::uuid END,
    lease_until = CASE WHEN NOT held.is_held THEN clock_timestamp() + make_interval(secs => %(lease_seconds)s) END
FROM held WHERE l.delivery_id = held.delivery_id
RETURNING l.tenant_id, l.delivery_id, held.is_held
