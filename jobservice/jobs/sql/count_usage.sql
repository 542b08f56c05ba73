-- end and erase, last: count what jobs gave back and what their runs left, one slot of each tenant, in the order of the
-- tenants. Never refused. Index: tenant_usage_pkey.
WITH moved AS MATERIALIZED (
  SELECT * FROM unnest(%(tenants)s::uuid[], %(slots)s::smallint[], %(open_jobs)s::bigint[], %(stored_bytes)s::bigint[])
    AS m (tenant_id, slot, open_jobs, stored_bytes)
), locked AS MATERIALIZED (
  SELECT mine.tenant_id, mine.slot FROM tenant_usage AS mine JOIN moved USING (tenant_id, slot)
  ORDER BY mine.tenant_id, mine.slot FOR NO KEY UPDATE OF mine
)
UPDATE tenant_usage AS mine
SET open_jobs = mine.open_jobs + moved.open_jobs, stored_bytes = mine.stored_bytes + moved.stored_bytes
FROM locked JOIN moved USING (tenant_id, slot)
WHERE mine.tenant_id = locked.tenant_id AND mine.slot = locked.slot
RETURNING mine.tenant_id
