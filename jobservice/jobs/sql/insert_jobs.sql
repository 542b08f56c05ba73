-- store: one statement for any number of whole jobs of one tenant. The wide rows, the live rows, the sealed values, the
-- tags. All or, when a lane is still missing, nothing. In the order of the request.
-- Index: the unique constraint of lane, which is shared with other accepts and with claims, but not with a deactivation.
-- With `takes_key` the one job takes its unique key too, here and not in a round trip of its own: if it is free, and no
-- claim is left of it; else nothing is stored or taken. A key that is being taken at this moment is waited for, before the
-- lane is locked: keys come before lanes. Index: the primary key of unique_claim.
WITH moment AS MATERIALIZED (
  SELECT clock_timestamp() AS now
), asked AS MATERIALIZED (
  SELECT * FROM jsonb_to_recordset(%(jobs)s::jsonb) AS a (
    place integer, id uuid, type text, executor text, handler text, queue text, pool text, priority smallint,
    priority_seconds integer, max_attempts smallint, timeout_seconds integer, retry jsonb, tags jsonb, payload_id uuid,
    payload_bytes integer, metadata_id uuid, callback_url_id uuid, traceparent text, run_at timestamptz,
    delay_seconds integer, start_deadline_seconds integer, on_crash text, concurrency_hash bytea, unique_hash bytea,
    retry_of uuid, unique_while text, unique_period_seconds integer)
), claimed AS (
  INSERT INTO unique_claim (tenant_id, hash, job_id, held_while, expires_at)
  SELECT %(tenant)s, unique_hash, id, unique_while, moment.now + make_interval(secs => unique_period_seconds)
  FROM asked CROSS JOIN moment
  WHERE %(takes_key)s::boolean AND EXISTS (
    -- Whoever makes a queue locks the tenant's queues, which comes before any key.
    SELECT FROM lane l WHERE l.tenant_id = %(tenant)s AND l.queue = asked.queue AND l.pool = asked.pool)
  ON CONFLICT (tenant_id, hash) DO NOTHING
  RETURNING job_id
), lanes AS MATERIALIZED (
  SELECT l.id, l.queue, l.pool, l.is_active FROM lane l
  WHERE l.tenant_id = %(tenant)s AND (l.queue, l.pool) IN (SELECT queue, pool FROM asked)
    AND (NOT %(takes_key)s OR EXISTS (SELECT FROM claimed))
  FOR KEY SHARE OF l
), due AS MATERIALIZED (
  -- A time in the past means now.
  SELECT asked.*, lanes.id AS lane_id, lanes.is_active, moment.now,
         greatest(coalesce(asked.run_at, moment.now + make_interval(secs => asked.delay_seconds)), moment.now) AS at
  FROM asked JOIN lanes USING (queue, pool) CROSS JOIN moment
  WHERE (SELECT count(*) FROM lanes) = (SELECT count(DISTINCT (queue, pool)) FROM asked)
), made AS (
  INSERT INTO job (id, tenant_id, type, executor, handler, queue, pool, priority, max_attempts, timeout_seconds, retry,
                   tags, payload_id, payload_bytes, metadata_id, callback_id, traceparent, run_at, created_at,
                   start_deadline_at, on_crash, concurrency_hash, unique_hash, unique_while, retry_of)
  SELECT id, %(tenant)s, type, executor, handler, queue, pool, priority, max_attempts, timeout_seconds, retry,
         tags, payload_id, payload_bytes, metadata_id, callback_url_id, traceparent, at, now,
         at + make_interval(secs => start_deadline_seconds), on_crash, concurrency_hash, unique_hash, unique_while,
         retry_of
  FROM due
), live AS (
  INSERT INTO job_live (job_id, tenant_id, lane_id, pool, type, state, rank, priority, due_at, available_at,
                        start_deadline_at, concurrency_hash)
  SELECT id, %(tenant)s, lane_id, pool, type, CASE WHEN at > now THEN 'scheduled' ELSE 'available' END,
         at + make_interval(secs => priority_seconds), priority, at, CASE WHEN at > now THEN NULL ELSE now END,
         at + make_interval(secs => start_deadline_seconds), concurrency_hash
  FROM due
), kept AS (
  INSERT INTO blob (id, tenant_id, kind, sealed)
  SELECT b.id, %(tenant)s, b.kind, b.sealed
  FROM unnest(%(blob_ids)s::uuid[], %(blob_kinds)s::text[], %(blob_values)s::bytea[]) AS b (id, kind, sealed)
  WHERE EXISTS (SELECT FROM due)
), tagged AS (
  INSERT INTO job_tag (tenant_id, job_id, name, value)
  SELECT %(tenant)s, due.id, t.key, t.value FROM due CROSS JOIN LATERAL jsonb_each_text(due.tags) AS t
), counted AS (
  -- Added, never updated: accepts of one queue do not wait for each other (statistics.py).
  INSERT INTO statistic_delta (tenant_id, minute, queue, type, accepted)
  SELECT %(tenant)s, date_trunc('minute', now), queue, type, count(*) FROM due GROUP BY now, queue, type
)
SELECT lane_id, is_active AS lane_is_active, at AS run_at, now AS created_at,
       CASE WHEN at > now THEN 'scheduled' ELSE 'available' END AS state,
       CASE WHEN at > now THEN NULL ELSE now END AS available_at
FROM due ORDER BY place
