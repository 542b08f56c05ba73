-- The queue with the tenant's defaults and its lane, on first use. A twin that comes first is no fault.
WITH made AS (
  INSERT INTO queue (id, tenant_id, name) VALUES (%(queue_id)s, %(tenant)s, %(queue)s)
  ON CONFLICT (tenant_id, name) DO NOTHING
)
INSERT INTO lane (tenant_id, queue, pool, weight, vtime)
SELECT %(tenant)s, %(queue)s, %(pool)s, tenant.weight, pool.vtime
FROM tenant, pool WHERE tenant.id = %(tenant)s AND pool.name = %(pool)s
ON CONFLICT (tenant_id, queue, pool) DO NOTHING
