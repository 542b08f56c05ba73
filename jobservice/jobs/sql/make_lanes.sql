-- The queues with the tenant's defaults and their lanes, on first use. A twin that comes first is no fault.
-- In the order of their names, so that two transactions that make the same lanes wait in line and not in a ring.
WITH wanted AS MATERIALIZED (
  SELECT * FROM unnest(%(queue_ids)s::uuid[], %(queues)s::text[], %(pools)s::text[]) AS w (id, queue, pool)
), made AS (
  INSERT INTO queue (id, tenant_id, name)
  SELECT DISTINCT ON (queue) id, %(tenant)s, queue FROM wanted ORDER BY queue
  ON CONFLICT (tenant_id, name) DO NOTHING
)
INSERT INTO lane (tenant_id, queue, pool, weight, vtime)
SELECT %(tenant)s, wanted.queue, wanted.pool, tenant.weight, pool.vtime
FROM wanted JOIN pool ON pool.name = wanted.pool CROSS JOIN tenant
WHERE tenant.id = %(tenant)s
ORDER BY wanted.queue, wanted.pool
ON CONFLICT (tenant_id, queue, pool) DO NOTHING
