-- Concurrency keys of a queue: how many jobs of each are handed out or run, how many are put aside until one of those ends,
-- and a job that has the key. Bounded: so many keys that hold slots and so many that hold jobs back are looked at, found
-- by stepping from one key to the next, and so many jobs of each are counted. Indexes: job_slots, job_parked: lanes are
-- the tenant's, and to say its id again would lead the planner to all of its jobs (count_queues.sql).
WITH RECURSIVE lanes AS MATERIALIZED (
  SELECT id FROM lane WHERE tenant_id = %(tenant)s AND queue = %(queue)s
), held AS MATERIALIZED (
  SELECT hash, count(*) AS running, (array_agg(job_id ORDER BY job_id))[1] AS job_id
  FROM lanes CROSS JOIN LATERAL (
    SELECT concurrency_hash AS hash, job_id FROM job_live
    WHERE tenant_id = %(tenant)s AND lane_id = lanes.id AND state IN ('dispatched', 'executing')
      AND concurrency_hash IS NOT NULL
    ORDER BY concurrency_hash LIMIT %(slots)s
  ) AS taken
  GROUP BY hash
), stepped AS (
  SELECT lanes.id AS lane_id, first.hash, first.job_id, 1 AS step
  FROM lanes CROSS JOIN LATERAL (
    SELECT concurrency_hash AS hash, job_id FROM job_live
    WHERE is_parked AND NOT is_throttled AND lane_id = lanes.id
    ORDER BY concurrency_hash, rank, job_id LIMIT 1
  ) AS first
  UNION ALL
  SELECT stepped.lane_id, next.hash, next.job_id, stepped.step + 1
  FROM stepped CROSS JOIN LATERAL (
    SELECT concurrency_hash AS hash, job_id FROM job_live
    WHERE is_parked AND NOT is_throttled AND lane_id = stepped.lane_id
      AND concurrency_hash > stepped.hash
    ORDER BY concurrency_hash, rank, job_id LIMIT 1
  ) AS next
  WHERE stepped.step < %(keys)s
), keys AS MATERIALIZED (
  SELECT hash FROM (SELECT hash FROM held ORDER BY running DESC, hash LIMIT %(keys)s) AS busiest
  UNION SELECT hash FROM stepped
)
SELECT keys.hash, coalesce(held.running, 0)::integer AS running, parked.waiting::integer AS waiting,
       coalesce(held.job_id, (SELECT stepped.job_id FROM stepped WHERE stepped.hash = keys.hash LIMIT 1)) AS job_id
FROM keys LEFT JOIN held ON held.hash = keys.hash
CROSS JOIN LATERAL (
  SELECT count(*) AS waiting FROM lanes CROSS JOIN LATERAL (
    SELECT FROM job_live
    WHERE is_parked AND NOT is_throttled AND lane_id = lanes.id
      AND concurrency_hash = keys.hash
    ORDER BY rank, job_id LIMIT %(counted)s + 1
  ) AS behind
) AS parked
ORDER BY parked.waiting DESC, running DESC, keys.hash LIMIT %(limit)s
