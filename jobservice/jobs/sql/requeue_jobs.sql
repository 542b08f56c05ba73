-- A run is over and its job is not: it waits for its backoff or its snooze, runs again at once, or is held.
-- Its rows are locked already; guarded once more on epoch and state, so that the statement is safe by itself.
-- `crashes` and `attempts` are added: a crash counts apart, and a run that counts nothing gives its attempt back.
-- `epochs_spent` is 1 where whoever ran it may still believe that it does. Index: job_live_pkey.
WITH again AS MATERIALIZED (
  SELECT * FROM unnest(
    %(tenants)s::uuid[], %(jobs)s::uuid[], %(epochs)s::bigint[], %(states)s::text[], %(delays)s::float8[],
    %(crashes)s::integer[], %(attempts)s::integer[], %(epochs_spent)s::integer[], %(reasons)s::text[],
    %(error_codes)s::text[], %(errors)s::uuid[], %(error_groups)s::uuid[]
  ) AS a (tenant_id, job_id, epoch, state, delay_seconds, crashes, attempts, epochs_spent, hold_reason, error_code,
          error_id, error_group_id)
)
UPDATE job_live l
SET state = again.state, crash_count = l.crash_count + again.crashes, attempt = l.attempt + again.attempts,
    epoch = l.epoch + again.epochs_spent,
    due_at = CASE WHEN again.state IN ('retryable', 'scheduled')
                  THEN clock_timestamp() + make_interval(secs => again.delay_seconds) ELSE l.due_at END,
    available_at = CASE again.state WHEN 'available' THEN clock_timestamp() WHEN 'scheduled' THEN NULL
                   ELSE l.available_at END,
    -- A first run that was given back has not been.
    first_started_at = CASE WHEN again.state IN ('available', 'suspended') AND l.attempt + again.attempts = 0
                            THEN NULL
                       ELSE l.first_started_at END,
    -- It did begin in time, however: what passed during the run binds it no more, or a worker that stops would end it.
    start_deadline_at = CASE WHEN again.state = 'available' AND again.attempts < 0
                              AND l.start_deadline_at <= clock_timestamp() THEN NULL
                        ELSE l.start_deadline_at END,
    suspended_reason = CASE WHEN again.state = 'suspended' THEN again.hold_reason END,
    lease_until = NULL, worker_id = NULL, group_id = NULL, started_at = NULL, is_async = false,
    progress_percent = NULL, progress_id = NULL, log_id = NULL,
    -- What counts nothing leaves the error of the last run that did.
    error_code = CASE WHEN again.attempts < 0 THEN l.error_code ELSE again.error_code END,
    error_id = CASE WHEN again.attempts < 0 THEN l.error_id ELSE again.error_id END,
    error_group_id = CASE WHEN again.attempts < 0 THEN l.error_group_id ELSE again.error_group_id END,
    error_epoch = CASE WHEN again.attempts < 0 THEN l.error_epoch WHEN again.error_id IS NOT NULL THEN again.epoch END
FROM again
WHERE l.job_id = again.job_id AND l.tenant_id = again.tenant_id AND l.epoch = again.epoch AND l.state = 'executing'
RETURNING l.job_id, l.lane_id, l.state, l.concurrency_hash
