-- What a job that waits is waiting for, counted as the claim counts it (read_turns.sql). Indexes: job_live by primary key,
-- job_ready for those before it and job_slots for the slots in use, as far as they are counted. Table worker is small; a
-- worker counts as the dispatcher counts it (survey.sql).
SELECT l.state, l.due_at, moment.now AS read_at, l.attempt, l.pool, l.concurrency_hash IS NOT NULL AS has_key,
       tenant.status = 'active' AS is_tenant_active, queue.name AS queue, queue.paused_at,
       CASE WHEN tenant.quotas ? 'running' THEN (tenant.quotas ->> 'running')::bigint ELSE %(running)s::bigint END
         AS tenant_limit,
       (SELECT count(*) FROM job_live AS other
        WHERE other.tenant_id = l.tenant_id AND other.state IN ('dispatched', 'executing')) AS tenant_slots,
       queue.concurrency AS queue_limit, of_queue.slots AS queue_slots, of_queue.holders AS queue_holders,
       queue.key_concurrency AS key_limit, of_key.slots AS key_slots, of_key.holders AS key_holders,
       queue.rate,
       -- When a token is due, in seconds from now; below zero there is one. No row: the bucket is full.
       (extract(epoch FROM coalesce(bucket.full_at, moment.now) - moment.now)
         - (rate.burst - 1) * rate.interval_seconds)::float8 AS token_seconds,
       -- Of the endpoint of its type; null when it is not held back, or is no more.
       l.type, l.is_throttled, endpoint.until AS throttled_until,
       fleet.workers, fleet.slots,
       (SELECT count(*) FROM (
          SELECT FROM job_live AS other
          WHERE other.lane_id = l.lane_id AND other.state = 'available' AND NOT other.is_parked
            AND (other.rank, other.job_id) < (l.rank, l.job_id)
          LIMIT %(most_ahead)s
        ) AS ahead)::integer AS ahead
FROM job_live AS l
CROSS JOIN LATERAL (SELECT clock_timestamp() AS now) AS moment
JOIN tenant ON tenant.id = l.tenant_id
JOIN lane ON lane.id = l.lane_id
JOIN queue ON queue.tenant_id = lane.tenant_id AND queue.name = lane.queue
LEFT JOIN queue_rate AS bucket ON bucket.tenant_id = lane.tenant_id AND bucket.queue = lane.queue
LEFT JOIN LATERAL (
  SELECT (queue.rate ->> 'period_seconds')::float8 / (queue.rate ->> 'limit')::float8 AS interval_seconds,
         (queue.rate ->> 'burst')::float8 AS burst
) AS rate ON queue.rate IS NOT NULL
LEFT JOIN LATERAL (
  SELECT throttle.until FROM endpoint_throttle AS throttle
  JOIN job_type ON job_type.tenant_id = throttle.tenant_id AND job_type.name = throttle.type
    AND job_type.version = throttle.type_version
  WHERE throttle.tenant_id = l.tenant_id AND throttle.type = l.type AND throttle.until > moment.now
) AS endpoint ON true
CROSS JOIN LATERAL (
  SELECT count(*) AS slots, (array_agg(other.job_id ORDER BY other.job_id))[1:%(holders)s] AS holders
  FROM job_live AS other JOIN lane AS its ON its.id = other.lane_id
  WHERE other.tenant_id = l.tenant_id AND its.queue = lane.queue AND other.state IN ('dispatched', 'executing')
) AS of_queue
CROSS JOIN LATERAL (
  SELECT count(*) AS slots, (array_agg(other.job_id ORDER BY other.job_id))[1:%(holders)s] AS holders
  FROM job_live AS other JOIN lane AS its ON its.id = other.lane_id
  WHERE other.tenant_id = l.tenant_id AND its.queue = lane.queue AND other.state IN ('dispatched', 'executing')
    AND other.concurrency_hash = l.concurrency_hash
) AS of_key
CROSS JOIN LATERAL (
  SELECT count(*)::integer AS workers, coalesce(sum(slots), 0)::integer AS slots
  FROM worker
  WHERE worker.pool = l.pool AND NOT is_draining
    AND seen_at > clock_timestamp() - make_interval(secs => %(silent_seconds)s)
) AS fleet
WHERE l.tenant_id = %(tenant)s AND l.job_id = %(job)s
