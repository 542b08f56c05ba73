-- heartbeat: prolong what this worker still delivers. No index holds lease_until, so this is a heap-only update.
WITH ref AS MATERIALIZED (
  SELECT * FROM unnest(%(tenants)s::uuid[], %(deliveries)s::uuid[], %(epochs)s::bigint[])
    AS r (tenant_id, delivery_id, epoch)
), held AS MATERIALIZED (
  SELECT l.delivery_id FROM delivery_live l JOIN ref USING (tenant_id, delivery_id, epoch)
  WHERE l.state = 'delivering' AND l.worker_id = %(worker)s
  ORDER BY l.delivery_id FOR UPDATE OF l
)
UPDATE delivery_live l
SET lease_until = clock_timestamp() + make_interval(secs => %(lease_seconds)s)
FROM held WHERE l.delivery_id = held.delivery_id
RETURNING l.tenant_id, l.delivery_id, l.epoch
