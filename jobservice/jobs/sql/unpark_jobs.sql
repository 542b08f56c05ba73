-- Parked jobs whose concurrency key has a slot after all: some keys at a time, the next ones the next time.
-- Indexes: job_parked walks from key to key, and gives the first jobs of each; job_slots counts.
WITH RECURSIVE waiting AS (
  (SELECT lane_id, concurrency_hash, 1 AS place FROM job_live
   WHERE is_parked AND NOT is_throttled AND (lane_id, concurrency_hash) > (%(lane)s::bigint, %(key)s::bytea)
   ORDER BY lane_id, concurrency_hash LIMIT 1)
  UNION ALL
  SELECT following.lane_id, following.concurrency_hash, waiting.place + 1
  FROM waiting CROSS JOIN LATERAL (
    SELECT l.lane_id, l.concurrency_hash FROM job_live l
    WHERE l.is_parked AND NOT l.is_throttled AND (l.lane_id, l.concurrency_hash) > (waiting.lane_id, waiting.concurrency_hash)
    ORDER BY l.lane_id, l.concurrency_hash LIMIT 1
  ) AS following
  WHERE waiting.place < %(keys)s::integer
), free AS MATERIALIZED (
  SELECT waiting.lane_id, waiting.concurrency_hash, queue.key_concurrency - (
      SELECT count(*) FROM job_live JOIN lane AS of_queue ON of_queue.id = job_live.lane_id
      WHERE of_queue.tenant_id = lane.tenant_id AND of_queue.queue = lane.queue
        AND job_live.tenant_id = lane.tenant_id AND job_live.concurrency_hash = waiting.concurrency_hash
        AND job_live.state IN ('dispatched', 'executing')) AS slots
  FROM waiting JOIN lane ON lane.id = waiting.lane_id
  JOIN queue ON queue.tenant_id = lane.tenant_id AND queue.name = lane.queue
), freed AS MATERIALIZED (
  SELECT next.job_id FROM free CROSS JOIN LATERAL (
    SELECT job_id FROM job_live
    WHERE job_live.is_parked AND NOT job_live.is_throttled AND job_live.lane_id = free.lane_id
      AND job_live.concurrency_hash = free.concurrency_hash
    ORDER BY rank, job_id LIMIT free.slots
    FOR UPDATE SKIP LOCKED
  ) AS next
  WHERE free.slots > 0
), opened AS (
  UPDATE job_live SET is_parked = false FROM freed WHERE job_live.job_id = freed.job_id RETURNING job_live.lane_id
)
-- The keys looked at, the last one last, and the lanes that have work again.
SELECT waiting.lane_id, waiting.concurrency_hash, waiting.place, (SELECT array_agg(DISTINCT opened.lane_id) FROM opened) AS lanes
FROM waiting ORDER BY waiting.lane_id DESC, waiting.concurrency_hash DESC LIMIT 1
