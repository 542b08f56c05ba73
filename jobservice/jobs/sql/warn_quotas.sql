-- The next tenants by id, and of which quotas they are to be warned now: those used to so much that they were not warned of
-- before. Who uses clearly less again, or begins a new day, can be warned anew. Always a row: the last tenant looked at.
-- Indexes: the primary keys of tenant, tenant_usage and quota_warning; queue_tenant_id_name_key counts queues.
WITH moment AS MATERIALIZED (
  SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date AS today
), page AS MATERIALIZED (
  SELECT id, quotas FROM tenant WHERE id > %(after)s AND status <> 'erased' ORDER BY id LIMIT %(tenants)s
), used AS MATERIALIZED (
  SELECT page.id AS tenant_id, page.quotas, amount.name, amount.used
  FROM page CROSS JOIN moment
  CROSS JOIN LATERAL (
    SELECT coalesce(sum(open_jobs), 0) AS open_jobs, coalesce(sum(stored_bytes), 0) AS stored_bytes,
           coalesce(sum(jobs_of_day) FILTER (WHERE day >= moment.today), 0) AS jobs_of_day
    FROM tenant_usage WHERE tenant_usage.tenant_id = page.id
  ) AS counted
  CROSS JOIN LATERAL (
    VALUES ('open_jobs', counted.open_jobs), ('stored_bytes', counted.stored_bytes),
           ('jobs_per_day', counted.jobs_of_day),
           ('queues', (SELECT count(*) FROM queue WHERE queue.tenant_id = page.id)::numeric)
  ) AS amount (name, used)
), measured AS MATERIALIZED (
  SELECT used.tenant_id, used.name, used.used::bigint, allowed.jobs AS allowed
  FROM used CROSS JOIN LATERAL (
    SELECT (CASE WHEN used.quotas ? used.name THEN used.quotas ->> used.name
                 ELSE %(defaults)s::jsonb ->> used.name END)::bigint AS jobs
  ) AS allowed
), eased AS (
  DELETE FROM quota_warning AS warning USING measured, moment
  WHERE warning.tenant_id = measured.tenant_id AND warning.name = measured.name
    AND (measured.allowed IS NULL OR measured.used < %(ease)s * measured.allowed
         OR measured.name = 'jobs_per_day' AND warning.day < moment.today)
), warned AS (
  INSERT INTO quota_warning (tenant_id, name, day)
  SELECT tenant_id, name, moment.today FROM measured CROSS JOIN moment
  WHERE allowed > 0 AND used >= %(warn)s * allowed
  ORDER BY tenant_id, name
  ON CONFLICT DO NOTHING
  RETURNING tenant_id, name
)
SELECT last.id AS last_id, warned.tenant_id, measured.name, measured.used, measured.allowed
FROM (SELECT max(id::text)::uuid AS id FROM page) AS last
LEFT JOIN warned ON true
LEFT JOIN measured ON measured.tenant_id = warned.tenant_id AND measured.name = warned.name
