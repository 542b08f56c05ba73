-- record, the fence: which of these deliveries are still under way under the epoch of the try. Locked in id order.
-- Index: the primary key.
-- Nothing is joined here: no statement that may wait for a row's lock reads partitions too. When PostgreSQL 18 looks at
-- such a row again after the wait, it shares the pruning state of the whole statement, and has crashed in it.
SELECT l.delivery_id
FROM delivery_live l
JOIN unnest(%(tenants)s::uuid[], %(deliveries)s::uuid[], %(epochs)s::bigint[]) AS r (tenant_id, delivery_id, epoch)
  USING (tenant_id, delivery_id, epoch)
WHERE l.state = 'delivering'
ORDER BY l.delivery_id FOR UPDATE OF l
