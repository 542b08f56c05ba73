-- What the dispatcher must know before a round: each pool's slots, what is claimed and what runs, and the next due time.
-- A group of handler jobs holds one slot; on the egress each job, and each delivery, is a group of its own. A run that its
-- endpoint completes later holds no slot of ours.
-- Indexes: job_held, delivery_leased; job_due, delivery_waiting and lane_rated for the next due time, one row of each.
WITH alive AS (
  SELECT pool, count(*) AS workers, sum(slots) AS slots, floor(avg(jobs_per_slot)) AS jobs_per_slot,
         jsonb_agg(run_times) AS run_times
  FROM worker
  WHERE NOT is_draining AND seen_at > clock_timestamp() - make_interval(secs => %(silent_seconds)s)
  GROUP BY pool
), held AS (
  SELECT pool, count(*) FILTER (WHERE state = 'dispatched') AS dispatched,
         CASE WHEN pool = 'handlers' THEN count(DISTINCT group_id) FILTER (WHERE state = 'executing')
              ELSE count(*) FILTER (WHERE state = 'executing' AND NOT is_async) END AS busy
  FROM job_live WHERE state IN ('dispatched', 'executing')
  GROUP BY pool
  UNION ALL
  SELECT 'deliveries', count(*) FILTER (WHERE state = 'dispatched'), count(*) FILTER (WHERE state = 'delivering')
  FROM delivery_live WHERE state IN ('dispatched', 'delivering')
), next AS (
  SELECT (SELECT min(due_at) FROM job_live WHERE state IN ('scheduled', 'retryable')) AS job_at,
         (SELECT min(due_at) FROM delivery_live WHERE state = 'waiting') AS delivery_at,
         (SELECT min(blocked_until) FROM lane WHERE blocked_until IS NOT NULL) AS token_at
)
SELECT pool.name AS pool, coalesce(alive.workers, 0)::integer AS workers, coalesce(alive.slots, 0)::integer AS slots,
       coalesce(alive.jobs_per_slot, 1)::integer AS jobs_per_slot, coalesce(alive.run_times, '[]') AS run_times,
       coalesce(held.dispatched, 0)::integer AS dispatched, coalesce(held.busy, 0)::integer AS busy_slots,
       extract(epoch FROM next.job_at - clock_timestamp())::float8 AS job_due_seconds,
       extract(epoch FROM next.delivery_at - clock_timestamp())::float8 AS delivery_due_seconds,
       extract(epoch FROM next.token_at - clock_timestamp())::float8 AS token_due_seconds
FROM (VALUES ('handlers'), ('egress'), ('deliveries')) AS pool (name)
LEFT JOIN alive ON alive.pool = pool.name
LEFT JOIN held ON held.pool = pool.name
CROSS JOIN next
