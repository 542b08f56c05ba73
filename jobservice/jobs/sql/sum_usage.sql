-- What the counters of a tenant say. Index: tenant_usage_pkey.
WITH moment AS MATERIALIZED (
  SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date AS today
)
SELECT coalesce(sum(open_jobs), 0)::bigint AS open_jobs, coalesce(sum(stored_bytes), 0)::bigint AS stored_bytes,
       coalesce(sum(jobs_of_day) FILTER (WHERE day >= today), 0)::bigint AS jobs_of_day,
       greatest(today, max(day)) AS day
FROM moment LEFT JOIN tenant_usage ON tenant_id = %(tenant)s
GROUP BY today
