-- What is held back by a limit though there is room, as the look of each second counts it (reopen_*.sql, unpark_jobs.sql,
-- let_go_throttled.sql), and what has more slots than it may. Indexes: share_blocked, lane_blocked, job_parked,
-- job_throttled; job_slots.
WITH used AS MATERIALIZED (
  SELECT l.tenant_id, lane.queue, l.concurrency_hash, count(*) AS slots
  FROM job_live l JOIN lane ON lane.id = l.lane_id
  WHERE l.state IN ('dispatched', 'executing') GROUP BY 1, 2, 3
), of_tenant AS (
  SELECT tenant.id AS tenant_id, tenant.status, coalesce(used.slots, 0) AS slots,
         CASE WHEN tenant.quotas ? 'running' THEN (tenant.quotas ->> 'running')::bigint ELSE %(running)s::bigint END
           AS most
  FROM tenant
  LEFT JOIN (SELECT tenant_id, sum(slots) AS slots FROM used GROUP BY 1) AS used ON used.tenant_id = tenant.id
), of_queue AS (
  SELECT queue.*, coalesce(used.slots, 0) AS slots
  FROM queue
  LEFT JOIN (SELECT tenant_id, queue, sum(slots) AS slots FROM used GROUP BY 1, 2) AS used
    ON used.tenant_id = queue.tenant_id AND used.queue = queue.name
), parked AS (
  SELECT DISTINCT lane.tenant_id, lane.queue, first.concurrency_hash
  FROM (
    SELECT lane_id, concurrency_hash FROM job_live WHERE is_parked AND NOT is_throttled
    ORDER BY lane_id, concurrency_hash, rank, job_id LIMIT %(limit)s
  ) AS first JOIN lane ON lane.id = first.lane_id
)
SELECT 'held' AS fault, share.tenant_id, NULL AS queue
FROM share JOIN of_tenant USING (tenant_id)
WHERE share.blocked_by IS NOT NULL AND of_tenant.status = 'active' AND (most IS NULL OR of_tenant.slots < most)
UNION ALL
SELECT 'held', lane.tenant_id, lane.queue
FROM lane JOIN of_queue ON of_queue.tenant_id = lane.tenant_id AND of_queue.name = lane.queue
WHERE lane.blocked_by IN ('queue-paused', 'queue-concurrency') AND of_queue.paused_at IS NULL
  AND (of_queue.concurrency IS NULL OR of_queue.slots < of_queue.concurrency)
UNION ALL
SELECT 'held', parked.tenant_id, parked.queue
FROM parked JOIN queue ON queue.tenant_id = parked.tenant_id AND queue.name = parked.queue
LEFT JOIN used ON used.tenant_id = parked.tenant_id AND used.queue = parked.queue
  AND used.concurrency_hash = parked.concurrency_hash
WHERE coalesce(used.slots, 0) < queue.key_concurrency
UNION ALL
-- Parked for an endpoint whose pause is over: each second some of them go on.
SELECT DISTINCT 'held', throttled.tenant_id, lane.queue
FROM (
  SELECT tenant_id, type, lane_id FROM job_live WHERE is_throttled ORDER BY tenant_id, type, rank, job_id LIMIT %(limit)s
) AS throttled
JOIN lane ON lane.id = throttled.lane_id
LEFT JOIN endpoint_throttle AS t ON t.tenant_id = throttled.tenant_id AND t.type = throttled.type
WHERE t.type IS NULL OR t.let_go_at < clock_timestamp() - make_interval(secs => %(grace_seconds)s)
UNION ALL
SELECT 'over', tenant_id, NULL FROM of_tenant WHERE slots > most
UNION ALL
SELECT 'over', tenant_id, name FROM of_queue WHERE slots > concurrency
UNION ALL
SELECT 'over', used.tenant_id, used.queue
FROM used JOIN queue ON queue.tenant_id = used.tenant_id AND queue.name = used.queue
WHERE used.concurrency_hash IS NOT NULL AND used.slots > queue.key_concurrency
LIMIT %(limit)s
