-- credits: slots of live workers against what is claimed and what runs. Index: job_held, delivery_held.
-- A group of handler jobs holds one slot; on the egress each job is a group of its own.
WITH alive AS (
  SELECT slots, jobs_per_slot, run_times FROM worker
  WHERE pool = %(pool)s AND NOT is_draining
    AND seen_at > clock_timestamp() - make_interval(secs => %(silent_seconds)s)
), held AS (
  SELECT count(*) FILTER (WHERE state = 'dispatched') AS dispatched,
         CASE WHEN %(pool)s = 'handlers' THEN count(DISTINCT group_id) FILTER (WHERE state = 'executing')
              ELSE count(*) FILTER (WHERE state = 'executing') END AS busy
  FROM job_live WHERE pool = %(pool)s AND state IN ('dispatched', 'executing')
), delivering AS (
  SELECT count(*) FILTER (WHERE state = 'dispatched') AS dispatched, count(*) FILTER (WHERE state = 'delivering') AS busy
  FROM delivery_live WHERE %(pool)s = 'deliveries' AND state <> 'pending'
)
SELECT coalesce((SELECT sum(slots) FROM alive), 0)::integer AS slots,
       coalesce((SELECT floor(avg(jobs_per_slot)) FROM alive), 1)::integer AS jobs_per_slot,
       coalesce((SELECT jsonb_agg(run_times) FROM alive), '[]') AS run_times,
       (held.dispatched + delivering.dispatched)::integer AS dispatched,
       (held.busy + delivering.busy)::integer AS busy_slots
FROM held, delivering
