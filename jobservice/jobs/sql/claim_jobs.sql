-- dispatch, second: the fair claim, within every limit. The shares and gates of these tenants are locked, so nobody else
-- takes a slot of theirs meanwhile, and the slots in use are counted from their rows, never from a counter.
-- Turns: start-time fair queueing in two levels, tenants and then a tenant's lanes; rank inside a lane.
-- What has no room left is blocked and leaves the sight of the next claim: see free_slots.sql for how it comes back.
-- `found` are their lanes that had work then: at most so many of each tenant as `lanes` says.
-- Indexes: job_slots counts, job_ready gives the top of each lane: claim_jobs.plan.txt.
-- Locks: the lanes FOR NO KEY UPDATE (accepts share KEY SHARE and are not held up), then the jobs looked at. Both skip what
-- is locked, so a claim waits for nobody.
WITH held AS MATERIALIZED (
  -- The queue by a probe for each: joined, all lanes would be read, where their table is short.
  SELECT of_lane.*, (SELECT lane.queue FROM lane WHERE lane.id = of_lane.lane_id) AS queue
  FROM (
    SELECT tenant_id, lane_id, concurrency_hash, count(*) AS slots FROM job_live
    WHERE tenant_id = ANY (%(tenants)s) AND state IN ('dispatched', 'executing')
    GROUP BY tenant_id, lane_id, concurrency_hash
  ) AS of_lane
), throttled AS MATERIALIZED (
  -- Endpoints that said "not now", nearly always none. One of a type that was written again since binds nobody.
  SELECT endpoint.tenant_id, endpoint.type
  FROM endpoint_throttle AS endpoint
  WHERE endpoint.tenant_id = ANY (%(tenants)s) AND endpoint.until > statement_timestamp()
    AND endpoint.type_version = (
      SELECT job_type.version FROM job_type
      WHERE job_type.tenant_id = endpoint.tenant_id AND job_type.name = endpoint.type)
), sharing AS MATERIALIZED (
  SELECT share.spot, share.tenant_id, share.lane_vtime, share.is_drained, share.weight,
         sum(share.weight) OVER () AS all_weights, share.vtime, max(share.vtime) OVER () AS last_vtime,
         share.is_suspended, share.tenant_id IN (SELECT throttled.tenant_id FROM throttled) AS has_throttle,
         share.running - (
           SELECT coalesce(sum(held.slots), 0) FROM held WHERE held.tenant_id = share.tenant_id)::bigint AS room
  FROM pool
  CROSS JOIN unnest(%(tenants)s::uuid[]) AS wanted (tenant_id)
  -- Probes again: all tenants would be read, where their table is short.
  CROSS JOIN LATERAL (
    SELECT share.ctid AS spot, share.tenant_id, share.lane_vtime, share.is_drained,
           -- Who had no work meanwhile has saved up no turns.
           CASE WHEN share.is_drained THEN greatest(share.vtime, pool.vtime) ELSE share.vtime END AS vtime,
           tenant.weight::float8 AS weight, tenant.status <> 'active' AS is_suspended,
           CASE WHEN quotas ? 'running' THEN (quotas ->> 'running')::bigint ELSE %(running)s::bigint END AS running
    FROM share JOIN tenant ON tenant.id = share.tenant_id
    WHERE share.tenant_id = wanted.tenant_id AND share.pool = pool.name OFFSET 0
  ) AS share
  WHERE pool.name = %(pool)s
), turn AS MATERIALIZED (
  SELECT roomy.*,
         -- Looked at is what it gets if all have enough: its part of the claim, and what it is behind the last of them. A
         -- quarter of its part more, for the turns of those that have less; what is left then the next claim takes. Never
         -- more than twice its part. And a few at least, because the concurrency keys of the first may be busy, or more,
         -- because the last look had to park many for their endpoint.
         CASE WHEN room > 0 THEN
           greatest(least(room, ceil(least(1.25 * part + share_weight * (last_vtime - share_vtime), 2 * part))),
                    CASE WHEN has_throttle THEN %(throttled_jobs)s ELSE %(least_jobs)s END::bigint
           )::bigint ELSE 0 END AS most
  FROM (
    SELECT rated.*,
           -- A null is no limit.
           CASE WHEN is_paused THEN 0 ELSE least(%(limit)s::bigint, share_room, slots, tokens)::bigint END AS room
    FROM (
      -- What is named more than once is computed in a level of its own: OFFSET 0 keeps them apart.
      SELECT opened.*,
             floor(burst - extract(epoch FROM full_at - statement_timestamp()) / interval_seconds) AS tokens
      FROM (
        SELECT lane.id, lane.tenant_id, lane.queue, lane.weight::float8 AS weight, lane.is_drained, queue.key_concurrency,
               CASE WHEN lane.is_drained THEN greatest(lane.vtime, sharing.lane_vtime) ELSE lane.vtime END AS vtime,
               queue.paused_at IS NOT NULL AS is_paused,
               queue.concurrency - (
                 SELECT coalesce(sum(held.slots), 0) FROM held
                 WHERE held.tenant_id = lane.tenant_id AND held.queue = lane.queue)::bigint AS slots,
               (queue.rate ->> 'period_seconds')::float8 / (queue.rate ->> 'limit')::float8 AS interval_seconds,
               (queue.rate ->> 'burst')::float8 AS burst,
               CASE WHEN queue.rate IS NOT NULL THEN greatest(statement_timestamp(), (
                 SELECT full_at FROM queue_rate
                 WHERE queue_rate.tenant_id = lane.tenant_id AND queue_rate.queue = lane.queue)) END AS full_at,
               sharing.room AS share_room, sharing.vtime AS share_vtime, sharing.weight AS share_weight,
               sharing.last_vtime, sharing.has_throttle,
               %(limit)s::float8 * sharing.weight / sharing.all_weights AS part
        FROM unnest(%(found)s::bigint[]) AS wanted (id)
        CROSS JOIN LATERAL (
          SELECT lane.* FROM lane
          WHERE lane.id = wanted.id AND lane.is_active AND lane.blocked_by IS NULL
          FOR NO KEY UPDATE SKIP LOCKED
        ) AS lane
        JOIN sharing ON sharing.tenant_id = lane.tenant_id
        CROSS JOIN LATERAL (
          SELECT * FROM queue WHERE queue.tenant_id = lane.tenant_id AND queue.name = lane.queue OFFSET 0) AS queue
        WHERE NOT sharing.is_suspended AND (sharing.room IS NULL OR sharing.room > 0)
        OFFSET 0
      ) AS opened OFFSET 0
    ) AS rated OFFSET 0
  ) AS roomy
), top AS MATERIALIZED (
  SELECT turn.id AS lane_id, turn.tenant_id, turn.vtime, turn.weight, turn.room,
         turn.share_vtime, turn.share_weight, turn.share_room, candidate.*
  FROM turn CROSS JOIN LATERAL (
    SELECT ctid AS spot, job_id, rank, concurrency_hash,
           turn.has_throttle AND (turn.tenant_id, type) IN (SELECT tenant_id, type FROM throttled) AS is_throttled
    FROM job_live
    WHERE job_live.lane_id = turn.id AND job_live.state = 'available' AND NOT job_live.is_parked
    ORDER BY rank, job_id LIMIT turn.most
    FOR UPDATE SKIP LOCKED
  ) AS candidate
), keyed AS MATERIALIZED (
  -- Those with a concurrency key: the first of each key get the slots that it has left.
  SELECT top.job_id, top.lane_id, top.concurrency_hash, turn.key_concurrency, coalesce(key.slots, 0) AS key_slots,
         coalesce(key.slots, 0) + row_number() OVER (PARTITION BY top.lane_id, top.concurrency_hash
                                                          ORDER BY top.rank, top.job_id)
           <= turn.key_concurrency AS has_key_slot
  FROM top JOIN turn ON turn.id = top.lane_id
  LEFT JOIN (
    SELECT tenant_id, queue, concurrency_hash, sum(slots)::bigint AS slots FROM held
    WHERE concurrency_hash IS NOT NULL GROUP BY tenant_id, queue, concurrency_hash
  ) AS key ON key.tenant_id = top.tenant_id AND key.queue = turn.queue AND key.concurrency_hash = top.concurrency_hash
  WHERE top.concurrency_hash IS NOT NULL AND NOT top.is_throttled
), tagged AS (
  -- From here on no more than what is needed: each sort copies it.
  SELECT spot, tenant_id, lane_id, lane_place, vtime + (lane_place - 1) / weight AS start_tag,
         share_vtime, share_weight, share_room
  FROM (
    SELECT spot, tenant_id, lane_id, vtime, weight, room, share_vtime, share_weight, share_room,
           row_number() OVER (PARTITION BY lane_id ORDER BY rank, job_id) AS lane_place
    FROM top WHERE NOT is_throttled AND job_id NOT IN (SELECT job_id FROM keyed WHERE NOT has_key_slot)
  ) AS placed
  WHERE lane_place <= room
), taken AS MATERIALIZED (
  SELECT spot, start_tag, share_vtime + (turn_number - 1) / share_weight AS share_tag
  FROM (
    SELECT tagged.*, row_number() OVER (PARTITION BY tenant_id ORDER BY start_tag, lane_id, lane_place) AS turn_number
    FROM tagged
  ) AS ordered
  WHERE share_room IS NULL OR turn_number <= share_room
  ORDER BY share_tag, tenant_id, turn_number
  LIMIT %(limit)s
), dispatched AS (
  -- By its place: the row is locked, so it is there still, unless it was changed after this statement began. Then it is
  -- not found, and nothing is counted that was not taken.
  UPDATE job_live l
  SET state = 'dispatched', epoch = l.epoch + 1, dispatched_at = clock_timestamp(),
      lease_until = clock_timestamp() + make_interval(secs => %(lease_seconds)s)
  FROM taken
  WHERE l.ctid = taken.spot AND l.state = 'available'
  RETURNING l.tenant_id, l.job_id, l.epoch, l.type, l.crash_count, l.lane_id, l.concurrency_hash,
            taken.start_tag, taken.share_tag
), parked AS (
  -- An array, so that the planner, which knows nothing of how many there are, takes them one by one from the primary key.
  UPDATE job_live SET is_parked = true, is_throttled = job_id IN (SELECT top.job_id FROM top WHERE top.is_throttled)
  WHERE job_id = ANY (ARRAY(
    -- Only where the key's slots are all taken, by jobs under way or by this claim: then its next end lets one go on.
    SELECT keyed.job_id FROM keyed
    WHERE NOT keyed.has_key_slot AND keyed.key_concurrency <= keyed.key_slots + (
      SELECT count(*) FROM dispatched
      WHERE dispatched.lane_id = keyed.lane_id AND dispatched.concurrency_hash = keyed.concurrency_hash)
    UNION ALL
    -- let_go_throttled.sql lets them go on.
    SELECT top.job_id FROM top WHERE top.is_throttled))
  RETURNING job_live.lane_id, job_live.is_throttled
), counted AS MATERIALIZED (
  -- Grouped once: the planner knows nothing of how many rows there are, and would do it again for each lane.
  SELECT lane_id, sum(seen) AS seen, sum(jobs) AS jobs, sum(aside) AS aside, max(lane_tag) AS lane_tag,
         max(share_tag) AS share_tag
  FROM (
    SELECT lane_id, count(*) AS seen, 0 AS jobs, 0 AS aside, NULL::float8 AS lane_tag, NULL::float8 AS share_tag
    FROM top GROUP BY lane_id
    UNION ALL
    SELECT lane_id, 0, count(*), 0, max(start_tag), max(share_tag) FROM dispatched GROUP BY lane_id
    UNION ALL
    SELECT lane_id, 0, 0, count(*), NULL, NULL FROM parked GROUP BY lane_id
  ) AS part
  GROUP BY lane_id
), served AS MATERIALIZED (
  SELECT turn.id, turn.tenant_id, turn.queue, turn.is_drained, turn.most, turn.burst, turn.interval_seconds,
         result.seen, result.jobs, counted.lane_tag, counted.share_tag,
         coalesce(counted.lane_tag + 1 / turn.weight, turn.vtime) AS next_vtime,
         -- All that was there was seen, and is taken or parked.
         result.seen < turn.most AND result.seen = result.jobs + result.aside AS is_emptied,
         CASE WHEN turn.is_paused THEN 'queue-paused'
              WHEN turn.slots <= result.jobs THEN 'queue-concurrency'
              WHEN turn.tokens <= result.jobs THEN 'queue-rate' END AS blocked_by,
         turn.full_at + result.jobs * make_interval(secs => turn.interval_seconds) AS next_full_at
  FROM turn LEFT JOIN counted ON counted.lane_id = turn.id
  CROSS JOIN LATERAL (
    SELECT coalesce(counted.seen, 0) AS seen, coalesce(counted.jobs, 0)::float8 AS jobs,
           coalesce(counted.aside, 0) AS aside
  ) AS result
), moved AS (
  UPDATE lane
  SET vtime = served.next_vtime, is_drained = served.is_emptied, blocked_by = served.blocked_by,
      served_at = CASE WHEN served.jobs > 0 THEN clock_timestamp() ELSE lane.served_at END,
      -- When there is a token again.
      blocked_until = CASE WHEN served.blocked_by = 'queue-rate' THEN
        served.next_full_at - (served.burst - 1) * make_interval(secs => served.interval_seconds) END
  FROM served
  WHERE lane.id = served.id AND (served.jobs > 0 OR served.blocked_by IS NOT NULL OR served.is_drained)
  RETURNING lane.blocked_by
), metered AS (
  INSERT INTO queue_rate (tenant_id, queue, full_at)
  SELECT tenant_id, queue, next_full_at FROM served WHERE jobs > 0 AND interval_seconds IS NOT NULL
  ON CONFLICT (tenant_id, queue) DO UPDATE SET full_at = excluded.full_at
), passed AS (
  UPDATE share
  SET vtime = next.vtime, lane_vtime = greatest(share.lane_vtime, next.lane_vtime), is_drained = next.is_emptied,
      blocked_by = next.blocked_by
  FROM (
    SELECT sharing.spot, coalesce(mine.share_tag + 1 / sharing.weight, sharing.vtime) AS vtime, mine.lane_vtime, mine.jobs,
           sharing.is_drained, coalesce(mine.lanes < %(lanes)s AND mine.are_emptied, false) AS is_emptied,
           CASE WHEN sharing.is_suspended THEN 'tenant-suspended'
                WHEN sharing.room <= coalesce(mine.jobs, 0) THEN 'tenant-concurrency' END AS blocked_by
    FROM sharing
    LEFT JOIN (
      SELECT tenant_id, count(*) AS lanes, sum(jobs) AS jobs, max(share_tag) AS share_tag, max(lane_tag) AS lane_vtime,
             bool_and(is_emptied) AS are_emptied
      FROM served GROUP BY tenant_id
    ) AS mine ON mine.tenant_id = sharing.tenant_id
  ) AS next
  -- Locked since before this statement: it is where it was read.
  WHERE share.ctid = next.spot
    AND (next.jobs > 0 OR next.blocked_by IS NOT NULL OR next.is_drained)
  RETURNING share.blocked_by
), clock AS (
  -- The pool's virtual time is the start tag of the last job served; it never goes back. But where tenants wait that were
  -- not looked at, theirs are smaller than that: then it is one turn before the first job served, so that who begins to
  -- wait now is next, and not behind all of them.
  UPDATE pool SET vtime = greatest(pool.vtime, latest.tag)
  FROM (
    SELECT CASE WHEN %(is_full)s THEN min(share_tag) - 1 ELSE max(share_tag) END AS tag
    FROM dispatched
  ) AS latest
  WHERE pool.name = %(pool)s AND latest.tag > pool.vtime
)
-- Always a row, also without a job. Another claim is worth it when more was there than was looked at (unless somebody
-- else has locked all of it), or when what left the sight of this one may have hidden others.
SELECT dispatched.tenant_id, dispatched.job_id, dispatched.epoch, dispatched.type, dispatched.crash_count,
       more.has_more, more.has_throttled
FROM (
  SELECT EXISTS (SELECT FROM dispatched) AND EXISTS (SELECT FROM served WHERE seen >= most) OR EXISTS (SELECT FROM parked)
      OR EXISTS (SELECT FROM moved WHERE blocked_by IS NOT NULL)
      OR EXISTS (SELECT FROM passed WHERE blocked_by IS NOT NULL) AS has_more,
         EXISTS (SELECT FROM parked WHERE is_throttled) AS has_throttled
) AS more LEFT JOIN dispatched ON true
