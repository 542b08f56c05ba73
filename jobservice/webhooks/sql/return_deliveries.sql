-- dispatch, undone: a claim that reached no broker is due as it was, its epoch is spent. Index: primary key.
WITH held AS MATERIALIZED (
  SELECT l.delivery_id FROM delivery_live l
  JOIN unnest(%(tenants)s::uuid[], %(deliveries)s::uuid[], %(epochs)s::bigint[])
    AS r (tenant_id, delivery_id, epoch) USING (tenant_id, delivery_id, epoch)
  WHERE l.state = 'dispatched'
  ORDER BY l.delivery_id FOR UPDATE OF l
)
UPDATE delivery_live l SET state = 'pending', epoch = l.epoch + 1, lease_until = NULL
FROM held WHERE l.delivery_id = held.delivery_id
RETURNING l.delivery_id
