-- dispatch, second: of the tenants whose shares and gates the transaction has locked, what each may take now, with its lanes
-- that had work a moment ago; a row for each lane, and one without a lane where none is left. The slots in use are counted
-- from their rows, never from a counter, and nobody else takes one meanwhile. A null is no limit. Times count from `read_at`.
-- Nothing here locks a lane: what blocks one, or changes a queue's limits, passes the gate. Who changes a tenant's
-- quota passes it afterwards: then no claim is under way that has read the old one.
-- Sent together with the one before, it finds these tenants and lanes in the settings of the transaction.
-- Indexes: job_slots counts; the rest are probes by key, one for each tenant or lane.
WITH held AS MATERIALIZED (
  SELECT of_lane.*, (SELECT lane.queue FROM lane WHERE lane.id = of_lane.lane_id) AS queue
  FROM (
    SELECT tenant_id, lane_id, count(*) AS slots FROM job_live
    WHERE tenant_id = ANY (nullif(current_setting('app.turn_tenants', true), '')::uuid[]) AND state IN ('dispatched', 'executing')
    GROUP BY tenant_id, lane_id
  ) AS of_lane
)
SELECT statement_timestamp()::text AS read_at, share.*, turn.*
FROM unnest(nullif(current_setting('app.turn_tenants', true), '')::uuid[]) AS wanted (tenant_id)
CROSS JOIN LATERAL (
  SELECT tenant.id AS tenant_id, tenant.weight AS share_weight, tenant.status <> 'active' AS is_suspended,
         -- Who had no work meanwhile has saved up no turns.
         CASE WHEN share.is_drained THEN greatest(share.vtime, (SELECT pool.vtime FROM pool WHERE pool.name = share.pool))
              ELSE share.vtime END AS share_vtime,
         share.lane_vtime, share.is_drained AS is_share_drained,
         CASE WHEN quotas ? 'running' THEN (quotas ->> 'running')::bigint ELSE %(running)s::bigint END - (
           SELECT coalesce(sum(held.slots), 0) FROM held WHERE held.tenant_id = tenant.id)::bigint AS share_slots
  FROM share JOIN tenant ON tenant.id = share.tenant_id
  WHERE share.tenant_id = wanted.tenant_id AND share.pool = %(pool)s OFFSET 0
) AS share
LEFT JOIN (
  SELECT lane.tenant_id AS of_tenant, lane.id AS lane_id, lane.queue, lane.weight, lane.vtime, lane.is_drained,
         queue.key_concurrency, queue.paused_at IS NOT NULL AS is_paused,
         queue.concurrency - (
           SELECT coalesce(sum(held.slots), 0) FROM held
           WHERE held.tenant_id = lane.tenant_id AND held.queue = lane.queue)::bigint AS slots,
         (queue.rate ->> 'period_seconds')::float8 / (queue.rate ->> 'limit')::float8 AS interval_seconds,
         (queue.rate ->> 'burst')::bigint AS burst,
         -- Until its bucket is full.
         CASE WHEN queue.rate IS NOT NULL THEN coalesce((
           SELECT greatest(extract(epoch FROM full_at - statement_timestamp()), 0) FROM queue_rate
           WHERE queue_rate.tenant_id = lane.tenant_id AND queue_rate.queue = lane.queue), 0)::float8 END AS lacking_seconds
  FROM unnest(nullif(current_setting('app.turn_lanes', true), '')::bigint[]) AS found (id)
  CROSS JOIN LATERAL (
    SELECT * FROM lane WHERE lane.id = found.id AND lane.is_active AND lane.blocked_by IS NULL OFFSET 0) AS lane
  CROSS JOIN LATERAL (
    SELECT * FROM queue WHERE queue.tenant_id = lane.tenant_id AND queue.name = lane.queue OFFSET 0) AS queue
) AS turn ON turn.of_tenant = share.tenant_id
