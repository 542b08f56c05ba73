-- dispatch: pending deliveries, those first whose tenant and target were served longest ago, one of each before the second
-- of any. A target (an endpoint, or all callbacks of a tenant) that works has many slots, one that nobody has tried a few,
-- one that fails fewer with each failure. Those that are doubtful (not tried, failing or slow), those of them in trouble,
-- and each tenant have a part of all slots only: so whoever does not answer holds up nobody else, neither before it is
-- known nor after. Slots in use are counted from the rows.
-- Indexes: delivery_leased; delivery_ready, walked from target to target and read as far as there is room. What is locked
-- is passed over.
WITH RECURSIVE due AS (
  (SELECT coalesce(endpoint_id, tenant_id) AS target_id, tenant_id FROM delivery_live
   WHERE state = 'pending' ORDER BY coalesce(endpoint_id, tenant_id) LIMIT 1)
  UNION ALL
  SELECT next.target_id, next.tenant_id
  FROM due CROSS JOIN LATERAL (
    SELECT coalesce(endpoint_id, tenant_id) AS target_id, tenant_id FROM delivery_live
    WHERE state = 'pending' AND coalesce(endpoint_id, tenant_id) > due.target_id
    ORDER BY coalesce(endpoint_id, tenant_id) LIMIT 1
  ) AS next
), busy AS MATERIALIZED (
  SELECT coalesce(endpoint_id, tenant_id) AS target_id, tenant_id, count(*) AS slots
  FROM delivery_live WHERE state IN ('dispatched', 'delivering') GROUP BY 1, 2
), known AS MATERIALIZED (
  SELECT target.target_id, target.tenant_id, coalesce(busy.slots, 0) AS slots,
         health.target_id IS NULL OR health.failures > 0 OR health.duration_ms > %(slow_ms)s AS is_doubtful,
         coalesce(health.failures > 0 OR health.duration_ms > %(slow_ms)s, false) AS is_troubled,
         coalesce(health.blocked_until > clock_timestamp(), false) AS is_blocked,
         CASE WHEN health.failures > 0 THEN greatest(%(new_slots)s::integer >> health.failures::integer, 1)
              WHEN health.target_id IS NULL OR health.duration_ms > %(slow_ms)s THEN %(new_slots)s
              WHEN target.target_id = target.tenant_id THEN %(tenant_slots)s
              ELSE %(good_slots)s END AS most
  FROM (SELECT target_id, tenant_id FROM busy UNION SELECT target_id, tenant_id FROM due) AS target
  LEFT JOIN busy ON busy.target_id = target.target_id
  LEFT JOIN delivery_health AS health ON health.target_id = target.target_id
), room AS MATERIALIZED (
  SELECT %(doubtful_slots)s - coalesce(sum(slots) FILTER (WHERE is_doubtful), 0) AS doubtful,
         %(troubled_slots)s - coalesce(sum(slots) FILTER (WHERE is_troubled), 0) AS troubled
  FROM known
), room_of_tenant AS MATERIALIZED (
  SELECT tenant_id, %(tenant_slots)s - sum(slots) AS slots,
         %(tenant_doubtful_slots)s - coalesce(sum(slots) FILTER (WHERE is_doubtful), 0) AS doubtful
  FROM known GROUP BY tenant_id
), target AS MATERIALIZED (
  SELECT known.*, turn.served_at,
         row_number() OVER (PARTITION BY known.tenant_id ORDER BY turn.served_at NULLS FIRST, known.target_id) AS number
  FROM due JOIN known USING (target_id)
  JOIN room_of_tenant AS of_tenant ON of_tenant.tenant_id = known.tenant_id
  CROSS JOIN room
  LEFT JOIN delivery_turn AS turn ON turn.target_id = known.target_id
  WHERE NOT known.is_blocked AND known.most > known.slots AND of_tenant.slots > 0
    AND (NOT known.is_doubtful OR of_tenant.doubtful > 0 AND room.doubtful > 0)
    AND (NOT known.is_troubled OR room.troubled > 0)
), top AS MATERIALIZED (
  SELECT target.target_id, target.tenant_id, target.is_doubtful, target.is_troubled, target.served_at, first.*
  FROM (SELECT * FROM target ORDER BY number, served_at NULLS FIRST, target_id LIMIT %(targets)s) AS target
  CROSS JOIN LATERAL (
    SELECT delivery_id, row_number() OVER (ORDER BY due_at, delivery_id) AS place
    FROM (
      SELECT delivery_id, due_at FROM delivery_live
      WHERE state = 'pending' AND coalesce(endpoint_id, tenant_id) = target.target_id
      ORDER BY due_at, delivery_id LIMIT least(target.most - target.slots, %(limit)s)
      FOR UPDATE SKIP LOCKED
    ) AS due
  ) AS first
), of_tenant AS (
  SELECT top.*, row_number() OVER (PARTITION BY tenant_id ORDER BY place, served_at NULLS FIRST, target_id) AS turn,
         row_number() OVER (PARTITION BY tenant_id, is_doubtful ORDER BY place, served_at NULLS FIRST, target_id)
           AS kind_turn
  FROM top
), of_all AS (
  SELECT of_tenant.*,
         row_number() OVER (PARTITION BY is_doubtful ORDER BY turn, served_at NULLS FIRST, target_id) AS doubtful_turn,
         row_number() OVER (PARTITION BY is_troubled ORDER BY turn, served_at NULLS FIRST, target_id) AS troubled_turn
  FROM of_tenant JOIN room_of_tenant AS its ON its.tenant_id = of_tenant.tenant_id
  WHERE turn <= its.slots AND (NOT is_doubtful OR kind_turn <= its.doubtful)
), taken AS MATERIALIZED (
  SELECT of_all.delivery_id, of_all.target_id, of_all.tenant_id
  FROM of_all CROSS JOIN room
  WHERE (NOT is_doubtful OR doubtful_turn <= room.doubtful) AND (NOT is_troubled OR troubled_turn <= room.troubled)
  ORDER BY turn, served_at NULLS FIRST, target_id LIMIT %(limit)s
), served AS (
  INSERT INTO delivery_turn (target_id, tenant_id, served_at)
  SELECT target_id, tenant_id, clock_timestamp() FROM taken GROUP BY target_id, tenant_id ORDER BY target_id
  ON CONFLICT (target_id) DO UPDATE SET served_at = excluded.served_at
)
UPDATE delivery_live l
SET state = 'dispatched', epoch = l.epoch + 1,
    lease_until = clock_timestamp() + make_interval(secs => %(lease_seconds)s)
FROM taken WHERE l.delivery_id = taken.delivery_id
RETURNING l.tenant_id, l.delivery_id, l.epoch
