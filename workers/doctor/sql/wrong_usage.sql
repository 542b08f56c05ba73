-- Tenants whose counter of unfinished jobs is not what their rows say. One snapshot, in which counter and rows agree, for one
-- transaction moves both. Index: job_open is read as a whole, without its rows.
-- A tenant that is being erased loses its rows table by table, which is no fault.
SELECT tenant.id, coalesce(kept.jobs, 0)::bigint AS kept, coalesce(counted.jobs, 0)::bigint AS counted
FROM tenant
LEFT JOIN (SELECT tenant_id, sum(open_jobs) AS jobs FROM tenant_usage GROUP BY tenant_id) AS kept ON kept.tenant_id = tenant.id
LEFT JOIN (SELECT tenant_id, count(*) AS jobs FROM job_live GROUP BY tenant_id) AS counted ON counted.tenant_id = tenant.id
WHERE coalesce(kept.jobs, 0) <> coalesce(counted.jobs, 0) AND tenant.status <> 'erased'
ORDER BY tenant.id
