-- A queue's limits were changed: the first of the jobs that wait for their concurrency key are looked at anew by the next
-- claim; the rest follow by the sweep. Index: job_parked. What is locked goes on by itself.
WITH waiting AS MATERIALIZED (
  SELECT job_live.job_id FROM job_live JOIN lane ON lane.id = job_live.lane_id
  WHERE lane.tenant_id = %(tenant)s AND lane.queue = %(queue)s AND job_live.is_parked
    AND NOT job_live.is_throttled
  ORDER BY job_live.rank, job_live.job_id LIMIT 1000
  FOR UPDATE OF job_live SKIP LOCKED
)
UPDATE job_live SET is_parked = false
FROM waiting WHERE job_live.job_id = waiting.job_id
RETURNING job_live.lane_id
