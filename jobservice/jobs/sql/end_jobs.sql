-- record, the end: the live row goes, the job row is written for the second and last time. Rows are locked already.
-- Guarded once more on epoch and state, so that the statement is safe by itself. Index: primary keys.
WITH done AS MATERIALIZED (
  SELECT * FROM unnest(
    %(tenants)s::uuid[], %(jobs)s::uuid[], %(epochs)s::bigint[], %(states)s::text[], %(last_started)s::timestamptz[],
    %(finished)s::timestamptz[], %(results)s::uuid[], %(error_codes)s::text[], %(errors)s::uuid[], %(events)s::uuid[]
  ) AS d (tenant_id, job_id, epoch, final_state, last_started_at, finished_at, result_id, error_code, error_id, event_id)
), gone AS (
  DELETE FROM job_live l USING done
  WHERE l.job_id = done.job_id AND l.tenant_id = done.tenant_id AND l.epoch = done.epoch AND l.state = 'executing'
  RETURNING l.*
), freed AS (
  DELETE FROM unique_claim u USING gone WHERE u.tenant_id = gone.tenant_id AND u.job_id = gone.job_id
)
UPDATE job j
SET final_state = done.final_state, finished_at = done.finished_at, last_started_at = done.last_started_at,
    available_at = gone.available_at, dispatched_at = gone.dispatched_at, first_started_at = gone.first_started_at,
    attempt = gone.attempt, crash_count = gone.crash_count, epoch = gone.epoch, result_id = done.result_id,
    error_code = done.error_code, error_id = done.error_id,
    error_epoch = CASE WHEN done.error_id IS NOT NULL THEN done.epoch END, end_event_id = done.event_id
FROM gone JOIN done USING (job_id)
WHERE j.id = gone.job_id AND j.tenant_id = gone.tenant_id AND j.final_state IS NULL
RETURNING j.*
