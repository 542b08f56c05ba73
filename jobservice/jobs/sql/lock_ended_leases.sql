-- rescue, the fence: runs whose worker fell silent, or whose endpoint did not complete them in time. Index: job_held.
-- Whoever else holds a row is about to settle it.
SELECT tenant_id, job_id, epoch, attempt, worker_id, started_at, cancel_requested, is_async, progress_percent,
       progress_id, log_id, pool, clock_timestamp() AS now
FROM job_live
WHERE state = 'executing' AND lease_until < clock_timestamp()
ORDER BY job_id LIMIT %(limit)s
FOR UPDATE SKIP LOCKED
