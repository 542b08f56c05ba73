-- The end: the live row goes, the job row is written for the last time. The live rows are locked already.
-- Guarded once more on the epoch and on the states that this end may come from. Index: primary keys.
-- `finished` and `last_started` are those of a run; without one, the end is now.
WITH done AS MATERIALIZED (
  SELECT * FROM unnest(
    %(tenants)s::uuid[], %(jobs)s::uuid[], %(epochs)s::bigint[], %(states)s::text[], %(last_started)s::timestamptz[],
    %(finished)s::timestamptz[], %(crashes)s::integer[], %(results)s::uuid[], %(error_codes)s::text[],
    %(errors)s::uuid[], %(error_groups)s::uuid[], %(events)s::uuid[]
  ) AS d (tenant_id, job_id, epoch, final_state, last_started_at, finished_at, crashes, result_id, error_code, error_id,
          error_group_id, event_id)
), gone AS (
  DELETE FROM job_live l USING done
  WHERE l.job_id = done.job_id AND l.tenant_id = done.tenant_id AND l.epoch = done.epoch
    AND l.state = ANY (%(sources)s::text[])
  RETURNING l.*
), ended AS (
  UPDATE job j
  SET final_state = done.final_state, finished_at = coalesce(done.finished_at, clock_timestamp()),
      last_started_at = done.last_started_at, available_at = gone.available_at, dispatched_at = gone.dispatched_at,
      first_started_at = gone.first_started_at, attempt = gone.attempt, crash_count = gone.crash_count + done.crashes,
      epoch = gone.epoch, result_id = done.result_id, error_code = done.error_code, error_id = done.error_id,
      error_epoch = CASE WHEN done.error_id IS NOT NULL THEN done.epoch END, error_group_id = done.error_group_id,
      end_event_id = done.event_id
  FROM gone JOIN done USING (job_id)
  WHERE j.id = gone.job_id AND j.tenant_id = gone.tenant_id AND j.final_state IS NULL
  RETURNING j.*, gone.lane_id
), counted AS (
  -- Added, never updated (statistics.py). How long a job waited for its first start; how long its last run took.
  INSERT INTO statistic_delta (tenant_id, minute, queue, type, completed, discarded, cancelled, waits, runs)
  SELECT tenant_id, date_trunc('minute', finished_at), queue, type,
         count(*) FILTER (WHERE final_state = 'completed'), count(*) FILTER (WHERE final_state = 'discarded'),
         count(*) FILTER (WHERE final_state = 'cancelled'),
         array_agg(duration_bucket(first_started_at - run_at)) FILTER (WHERE first_started_at IS NOT NULL),
         array_agg(duration_bucket(finished_at - last_started_at)) FILTER (WHERE last_started_at IS NOT NULL)
  FROM ended GROUP BY tenant_id, date_trunc('minute', finished_at), queue, type
)
-- Named one by one: a process that has this prepared while a migration adds a column to job would have to give another
-- answer than it promised, which the server refuses: the first end on each of its connections would fail.
SELECT id, tenant_id, type, executor, queue, priority, max_attempts, tags, metadata_id, callback_id, unique_hash,
       concurrency_hash, retry_of, run_at, created_at, final_state, finished_at, available_at, dispatched_at,
       first_started_at, last_started_at, attempt, crash_count, epoch, result_id, error_code, error_id, end_event_id,
       lane_id
FROM ended
