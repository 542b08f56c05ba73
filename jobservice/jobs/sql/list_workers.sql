-- The workers that are or were there lately, and what of one tenant's jobs and deliveries each runs, counted as far as the
-- limit goes. Table worker is small. Indexes: job_slots, and delivery_leased, in which are only those on their way.
WITH mine AS (
  SELECT worker_id, count(*) AS running FROM (
    (SELECT worker_id FROM job_live
     WHERE tenant_id = %(tenant)s AND state IN ('dispatched', 'executing') AND state = 'executing' AND NOT is_async
     LIMIT %(counted)s)
    UNION ALL
    (SELECT worker_id FROM delivery_live
     WHERE state IN ('dispatched', 'delivering') AND state = 'delivering' AND tenant_id = %(tenant)s LIMIT %(counted)s)
  ) AS found GROUP BY worker_id
)
SELECT worker.id, worker.pool, worker.host, worker.pid, worker.version, worker.slots, worker.busy_slots,
       worker.is_draining, worker.started_at, worker.seen_at,
       worker.seen_at <= clock_timestamp() - make_interval(secs => %(silent_seconds)s) AS is_silent,
       coalesce(mine.running, 0)::integer AS running
FROM worker LEFT JOIN mine ON mine.worker_id = worker.id
ORDER BY is_silent, array_position('{handlers,egress,deliveries}', worker.pool), worker.id
LIMIT %(limit)s
