-- What no verb ever writes, the database refuses too. Each is a look at the row that is written anyway.

ALTER TABLE job_live
  ADD CONSTRAINT job_live_priority CHECK (priority BETWEEN 0 AND 9),
  -- Since when it has waited for a slot: known from then on, not before.
  ADD CONSTRAINT job_live_available CHECK (
    CASE state WHEN 'scheduled' THEN available_at IS NULL ELSE available_at IS NOT NULL END),
  ADD CONSTRAINT job_live_claim CHECK (
    state NOT IN ('dispatched', 'executing') OR (epoch >= 1 AND dispatched_at IS NOT NULL)),
  ADD CONSTRAINT job_live_first_start CHECK (state <> 'executing' OR first_started_at IS NOT NULL),
  ADD CONSTRAINT job_live_failure CHECK (state <> 'retryable' OR (attempt >= 1 AND error_code IS NOT NULL)),
  ADD CONSTRAINT job_live_quarantine CHECK (suspended_reason <> 'crashes' OR crash_count >= 1),
  -- An error's text is sealed under the epoch of its run, and is never without its code.
  ADD CONSTRAINT job_live_error CHECK (
    (error_id IS NULL) = (error_epoch IS NULL) AND (error_id IS NULL OR error_code IS NOT NULL));

ALTER TABLE job
  ADD CONSTRAINT job_counts CHECK (attempt >= 0 AND crash_count >= 0 AND crash_count <= attempt AND epoch >= 0),
  -- While it is in job_live its row tells no end. (A check whose value is null passes: hence no `final_state = …` here.)
  ADD CONSTRAINT job_unfinished CHECK (
    final_state IS NOT NULL
    OR (result_id IS NULL AND error_code IS NULL AND error_id IS NULL AND last_started_at IS NULL)),
  ADD CONSTRAINT job_completed_run CHECK (
    final_state <> 'completed' OR (attempt >= 1 AND epoch >= 1 AND last_started_at IS NOT NULL)),
  ADD CONSTRAINT job_end_reason CHECK (final_state IS NULL OR (final_state = 'completed') = (error_code IS NULL)),
  ADD CONSTRAINT job_error CHECK (
    (error_id IS NULL) = (error_epoch IS NULL) AND (error_id IS NULL OR final_state = 'discarded'));

ALTER TABLE attempt
  ADD CONSTRAINT attempt_of_claim CHECK (number >= 1 AND epoch >= 1),
  ADD CONSTRAINT attempt_times CHECK (finished_at >= started_at),
  ADD CONSTRAINT attempt_result CHECK (outcome = 'completed' OR result_id IS NULL),
  ADD CONSTRAINT attempt_error CHECK (
    (outcome NOT IN ('failed', 'timed-out', 'crashed') OR error_code IS NOT NULL)
    AND (error_id IS NULL OR error_code IS NOT NULL));
