-- change: priority, time, tags and limit of attempts of a job that waits. Its live row is locked already, and with it
-- the job row and its tags, which only the holder of the live row writes. Index: primary keys of job_live, job, job_tag.
-- Guarded once more on the state; and the new limit must leave a try (the rule of decide_next).
WITH held AS MATERIALIZED (
  SELECT l.job_id, l.tenant_id, l.state, l.priority, l.due_at, l.available_at, j.max_attempts, j.tags,
         clock_timestamp() AS now
  FROM job_live l JOIN job j ON j.id = l.job_id AND j.tenant_id = l.tenant_id
  WHERE l.tenant_id = %(tenant)s AND l.job_id = %(job)s
    AND l.state IN ('scheduled', 'available', 'retryable', 'suspended')
    AND (%(max_attempts)s::smallint IS NULL OR %(max_attempts)s::smallint > l.attempt - l.crash_count)
), timed AS MATERIALIZED (
  SELECT held.*, coalesce(%(priority)s::smallint, held.priority) AS new_priority,
         coalesce(%(max_attempts)s::smallint, held.max_attempts) AS new_max_attempts,
         coalesce(%(tags)s::jsonb, held.tags) AS new_tags,
         -- A time in the past means now.
         CASE WHEN %(is_moved)s::boolean THEN greatest(
           coalesce(%(run_at)s::timestamptz, held.now + make_interval(secs => %(delay_seconds)s::float8)), held.now)
         ELSE held.due_at END AS new_due_at
  FROM held
), next AS MATERIALIZED (
  SELECT timed.*,
         CASE WHEN state = 'suspended' OR NOT %(is_moved)s::boolean THEN state
              WHEN new_due_at <= now THEN 'available'
              WHEN state = 'retryable' THEN 'retryable'
              ELSE 'scheduled' END AS new_state,
         array_remove(ARRAY[
           CASE WHEN new_priority <> priority THEN 'priority' END,
           CASE WHEN new_due_at <> due_at THEN 'run_at' END,
           CASE WHEN new_tags <> tags THEN 'tags' END,
           CASE WHEN new_max_attempts <> max_attempts THEN 'max_attempts' END], NULL) AS changed
  FROM timed
), moved AS (
  UPDATE job_live l
  SET state = next.new_state, is_parked = l.is_parked AND next.new_state = 'available',
      is_throttled = l.is_throttled AND next.new_state = 'available',
      priority = next.new_priority, due_at = next.new_due_at,
      rank = next.new_due_at + next.new_priority * make_interval(secs => %(priority_step_seconds)s::float8),
      available_at = CASE WHEN next.new_state = 'scheduled' THEN NULL
                          WHEN next.new_state = 'available' AND next.state <> 'available' THEN next.now
                          ELSE next.available_at END,
      -- The deadline to start keeps its distance from the time at which the job is due.
      start_deadline_at = l.start_deadline_at + (next.new_due_at - next.due_at)
  FROM next WHERE l.job_id = next.job_id AND l.tenant_id = next.tenant_id
  RETURNING l.lane_id, l.state, next.changed
), rewritten AS (
  UPDATE job j
  SET priority = next.new_priority, max_attempts = next.new_max_attempts, tags = next.new_tags,
      run_at = CASE WHEN %(is_moved)s::boolean THEN next.new_due_at ELSE j.run_at END
  FROM next WHERE j.id = next.job_id AND j.tenant_id = next.tenant_id
), untagged AS (
  DELETE FROM job_tag t USING next
  WHERE t.job_id = next.job_id AND t.tenant_id = next.tenant_id AND NOT next.new_tags ? t.name
), tagged AS (
  INSERT INTO job_tag (tenant_id, job_id, name, value)
  SELECT next.tenant_id, next.job_id, tag.key, tag.value FROM next, jsonb_each_text(next.new_tags) AS tag
  WHERE 'tags' = ANY (next.changed)
  ON CONFLICT (job_id, name) DO UPDATE SET value = excluded.value
)
SELECT lane_id, state, changed FROM moved
