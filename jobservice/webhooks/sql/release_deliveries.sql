-- release: a started delivery goes back, due as it was; its attempt is not counted, its epoch is spent.
WITH ref AS MATERIALIZED (
  SELECT * FROM unnest(%(tenants)s::uuid[], %(deliveries)s::uuid[], %(epochs)s::bigint[])
    AS r (tenant_id, delivery_id, epoch)
), held AS MATERIALIZED (
  SELECT l.delivery_id FROM delivery_live l JOIN ref USING (tenant_id, delivery_id, epoch)
  WHERE l.state = 'delivering' AND l.worker_id = %(worker)s
  ORDER BY l.delivery_id FOR UPDATE OF l
)
UPDATE delivery_live l
SET state = 'pending', epoch = l.epoch + 1, attempt = l.attempt - 1, lease_until = NULL, worker_id = NULL
FROM held WHERE l.delivery_id = held.delivery_id
RETURNING l.delivery_id
