-- record: how the tries to their targets went. Only what changes the standing of a target is written, so that those that
-- work are not written for every try. One success ends a target's trouble. An endpoint rests for as long as it asks for,
-- or, when all its tries fail, for longer each time; it is then tried by one. The callbacks of a tenant never rest, for
-- they go to many receivers. Index: the primary key; rows in order of target.
WITH told AS MATERIALIZED (
  SELECT r.target_id, r.tenant_id, bool_or(r.is_endpoint) AS is_endpoint, bool_or(r.is_taken) AS is_taken,
         avg(r.duration_ms)::real AS duration_ms, max(r.rest_seconds) AS rest_seconds
  FROM unnest(%(targets)s::uuid[], %(tenants)s::uuid[], %(is_endpoint)s::boolean[], %(is_taken)s::boolean[],
              %(durations)s::integer[], %(rests)s::float8[])
    AS r (target_id, tenant_id, is_endpoint, is_taken, duration_ms, rest_seconds)
  GROUP BY r.target_id, r.tenant_id
), next AS (
  SELECT told.*, health.target_id IS NULL AS is_new,
         coalesce(0.8 * health.duration_ms + 0.2 * told.duration_ms, told.duration_ms)::real AS average_ms,
         CASE WHEN told.is_taken THEN 0 ELSE least(coalesce(health.failures, 0) + 1, 30) END AS failures,
         health.failures AS earlier_failures, health.duration_ms AS earlier_ms
  FROM told LEFT JOIN delivery_health AS health ON health.target_id = told.target_id
)
INSERT INTO delivery_health AS health (target_id, tenant_id, failures, duration_ms, blocked_until)
SELECT target_id, tenant_id, failures, average_ms,
       CASE WHEN is_taken OR NOT is_endpoint THEN NULL
            ELSE clock_timestamp() + make_interval(secs => greatest(
              coalesce(rest_seconds, 0),
              CASE WHEN failures >= %(failures_to_rest)s
                   THEN least(%(first_rest_seconds)s * power(2, failures - %(failures_to_rest)s), %(most_rest_seconds)s)
                   ELSE 0 END)) END
FROM next
WHERE is_new OR failures <> earlier_failures OR rest_seconds IS NOT NULL
   OR abs(average_ms - earlier_ms) > 0.2 * greatest(earlier_ms, 500)
ORDER BY target_id
ON CONFLICT (target_id) DO UPDATE
SET failures = excluded.failures, duration_ms = excluded.duration_ms, blocked_until = excluded.blocked_until
