-- The queues with the tenant's defaults and their lanes, on first use, with the tenant's share of the pool. A twin that
-- comes first is no fault. In the order of their names, so that two transactions that make the same lanes wait in line
-- and not in a ring.
WITH wanted AS MATERIALIZED (
  SELECT * FROM unnest(%(queue_ids)s::uuid[], %(queues)s::text[], %(pools)s::text[]) AS w (id, queue, pool)
), made AS (
  INSERT INTO queue (id, tenant_id, name)
  SELECT DISTINCT ON (queue) id, %(tenant)s, queue FROM wanted ORDER BY queue
  ON CONFLICT (tenant_id, name) DO NOTHING
), gated AS (
  INSERT INTO claim_gate (tenant_id) VALUES (%(tenant)s) ON CONFLICT DO NOTHING
), shared AS (
  -- Asleep until its lane is made and wakes it.
  INSERT INTO share (tenant_id, pool, is_active)
  SELECT DISTINCT %(tenant)s::uuid, pool, false FROM wanted ORDER BY pool
  ON CONFLICT (tenant_id, pool) DO NOTHING
)
INSERT INTO lane (tenant_id, queue, pool, is_active)
SELECT %(tenant)s, queue, pool, false FROM wanted ORDER BY queue, pool
ON CONFLICT (tenant_id, queue, pool) DO NOTHING
