-- record, not the end: the job waits for its backoff, runs again at once after a crash, or is held after the third.
WITH again AS MATERIALIZED (
  SELECT * FROM unnest(
    %(tenants)s::uuid[], %(jobs)s::uuid[], %(epochs)s::bigint[], %(states)s::text[], %(delays)s::float8[],
    %(crashes)s::integer[], %(error_codes)s::text[], %(errors)s::uuid[]
  ) AS a (tenant_id, job_id, epoch, state, delay_seconds, crashes, error_code, error_id)
)
UPDATE job_live l
SET state = again.state, crash_count = l.crash_count + again.crashes,
    due_at = CASE WHEN again.state = 'retryable'
                  THEN clock_timestamp() + make_interval(secs => again.delay_seconds) ELSE l.due_at END,
    available_at = CASE WHEN again.state = 'available' THEN clock_timestamp() ELSE l.available_at END,
    suspended_reason = CASE WHEN again.state = 'suspended' THEN 'crashed three times' END,
    lease_until = NULL, worker_id = NULL, group_id = NULL, started_at = NULL,
    error_code = again.error_code, error_id = again.error_id,
    error_epoch = CASE WHEN again.error_id IS NOT NULL THEN again.epoch END
FROM again
WHERE l.job_id = again.job_id AND l.tenant_id = again.tenant_id AND l.epoch = again.epoch AND l.state = 'executing'
RETURNING l.job_id, l.lane_id, l.state
