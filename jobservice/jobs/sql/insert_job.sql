-- store: one statement for a whole job. The wide row, the live row, the sealed values and the tags.
WITH moment AS MATERIALIZED (
  SELECT clock_timestamp() AS now
), due AS MATERIALIZED (
  -- A time in the past means now.
  SELECT now, greatest(coalesce(%(run_at)s::timestamptz, now + make_interval(secs => %(delay_seconds)s)), now) AS at
  FROM moment
), made AS (
  INSERT INTO job (id, tenant_id, type, executor, handler, queue, pool, priority, max_attempts, timeout_seconds, retry,
                   tags, payload_id, payload_bytes, metadata_id, callback_id, traceparent, run_at, created_at)
  SELECT %(id)s, %(tenant)s, %(type)s, %(executor)s, %(handler)s, %(queue)s, %(pool)s, %(priority)s, %(max_attempts)s,
         %(timeout_seconds)s, %(retry)s::jsonb, %(tags)s::jsonb, %(payload_id)s, %(payload_bytes)s, %(metadata_id)s,
         %(callback_url_id)s, %(traceparent)s, due.at, due.now
  FROM due
  RETURNING *
), live AS (
  INSERT INTO job_live (job_id, tenant_id, lane_id, pool, type, state, rank, priority, due_at, available_at)
  SELECT %(id)s, %(tenant)s, %(lane)s, %(pool)s, %(type)s,
         CASE WHEN due.at > due.now THEN 'scheduled' ELSE 'available' END,
         due.at + make_interval(secs => %(priority_seconds)s), %(priority)s, due.at,
         CASE WHEN due.at > due.now THEN NULL ELSE due.now END
  FROM due
  RETURNING state, available_at
), kept AS (
  INSERT INTO blob (id, tenant_id, kind, sealed)
  SELECT b.id, %(tenant)s, b.kind, b.sealed
  FROM unnest(%(blob_ids)s::uuid[], %(blob_kinds)s::text[], %(blob_values)s::bytea[]) AS b (id, kind, sealed)
), tagged AS (
  INSERT INTO job_tag (tenant_id, job_id, name, value)
  SELECT %(tenant)s, %(id)s, t.name, t.value
  FROM unnest(%(tag_names)s::text[], %(tag_values)s::text[]) AS t (name, value)
)
SELECT made.id, made.type, made.executor, made.queue, live.state, made.priority, made.attempt, made.max_attempts,
       made.crash_count, made.tags, made.unique_hash, made.concurrency_hash, made.run_at, made.created_at,
       live.available_at, made.dispatched_at, made.first_started_at, made.last_started_at, made.finished_at,
       made.error_code
FROM made, live
