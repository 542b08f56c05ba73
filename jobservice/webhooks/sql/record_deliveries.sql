-- record: what a try came to. One statement: its attempt; then the delivery ends, is held when its endpoint wants no more,
-- or is due again after its delay.
-- The fence once more: only rows still delivering under the epoch of the try, all locked by lock_delivering.sql. Returns
-- those.
WITH ref AS MATERIALIZED (
  SELECT * FROM unnest(
    %(tenants)s::uuid[], %(deliveries)s::uuid[], %(epochs)s::bigint[], %(attempts)s::uuid[], %(durations)s::integer[],
    %(statuses)s::smallint[], %(error_classes)s::text[], %(finals)s::text[], %(delays)s::float8[],
    %(is_held)s::boolean[], %(answers)s::uuid[]
  ) AS r (tenant_id, delivery_id, epoch, attempt_id, duration_ms, status, error_class, final_state, delay_seconds, is_held,
          answer_id)
), held AS MATERIALIZED (
  SELECT l.delivery_id, l.attempt, ref.tenant_id, ref.epoch, ref.attempt_id, ref.duration_ms, ref.status,
         ref.error_class, ref.final_state, ref.is_held, ref.answer_id,
         CASE WHEN ref.final_state IS NULL AND NOT ref.is_held
              THEN clock_timestamp() + make_interval(secs => ref.delay_seconds) END AS next_attempt_at
  FROM delivery_live l JOIN ref USING (tenant_id, delivery_id, epoch)
  WHERE l.state = 'delivering'
), tried AS (
  INSERT INTO delivery_attempt
    (id, tenant_id, delivery_id, event_id, job_id, number, at, duration_ms, status, error_class, next_attempt_at,
     answer_id)
  SELECT h.attempt_id, h.tenant_id, h.delivery_id, d.event_id, d.job_id, h.attempt,
         clock_timestamp() - make_interval(secs => h.duration_ms / 1000.0), h.duration_ms, h.status, h.error_class,
         h.next_attempt_at, h.answer_id
  FROM held h JOIN delivery d ON d.id = h.delivery_id AND d.tenant_id = h.tenant_id
), ended AS (
  DELETE FROM delivery_live l USING held h WHERE l.delivery_id = h.delivery_id AND h.final_state IS NOT NULL
), closed AS (
  UPDATE delivery d SET final_state = h.final_state, finished_at = clock_timestamp(), epoch = h.epoch, attempts = h.attempt
  FROM held h WHERE d.id = h.delivery_id AND d.tenant_id = h.tenant_id AND h.final_state IS NOT NULL
), waiting AS (
  UPDATE delivery_live l
  SET state = CASE WHEN h.is_held THEN 'held' ELSE 'waiting' END, due_at = coalesce(h.next_attempt_at, l.due_at),
      lease_until = NULL, worker_id = NULL
  FROM held h WHERE l.delivery_id = h.delivery_id AND h.final_state IS NULL
)
SELECT h.tenant_id, h.delivery_id, h.epoch, d.job_id,
       extract(epoch FROM clock_timestamp() - d.created_at)::float8 AS age_seconds
FROM held h JOIN delivery d ON d.id = h.delivery_id AND d.tenant_id = h.tenant_id
