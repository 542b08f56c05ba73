-- record: how an endpoint does, after its tries. One success ends its failing; 410, or every try failing for so long,
-- disables it. Only what changes is written, so that a receiver that works costs nothing. Returns those that are disabled
-- now. Index: the primary key; locked in id order, after the deliveries.
WITH tried AS MATERIALIZED (
  SELECT r.tenant_id, r.endpoint_id, bool_or(r.is_taken) AS is_taken, bool_or(r.is_gone) AS is_gone
  FROM unnest(%(tenants)s::uuid[], %(endpoints)s::uuid[], %(is_taken)s::boolean[], %(is_gone)s::boolean[])
    AS r (tenant_id, endpoint_id, is_taken, is_gone)
  GROUP BY r.tenant_id, r.endpoint_id
), changed AS MATERIALIZED (
  SELECT endpoint.id, tried.is_taken,
         CASE WHEN endpoint.status <> 'enabled' THEN NULL
              WHEN tried.is_gone THEN 'gone'
              WHEN NOT tried.is_taken
                AND endpoint.failing_since < clock_timestamp() - make_interval(secs => %(most_seconds)s) THEN 'failing'
         END AS reason
  FROM tried JOIN webhook_endpoint AS endpoint ON endpoint.id = tried.endpoint_id AND endpoint.tenant_id = tried.tenant_id
  WHERE tried.is_gone OR tried.is_taken = (endpoint.failing_since IS NOT NULL)
    OR endpoint.failing_since < clock_timestamp() - make_interval(secs => %(most_seconds)s)
  ORDER BY endpoint.id FOR NO KEY UPDATE OF endpoint
), noted AS (
  UPDATE webhook_endpoint AS endpoint
  SET failing_since = CASE WHEN changed.is_taken THEN NULL
                           ELSE coalesce(endpoint.failing_since, clock_timestamp()) END,
      status = CASE WHEN changed.reason IS NULL THEN endpoint.status ELSE 'disabled' END,
      status_reason = coalesce(changed.reason, endpoint.status_reason),
      revision = endpoint.revision + (changed.reason IS NOT NULL)::integer,
      updated_at = CASE WHEN changed.reason IS NULL THEN endpoint.updated_at ELSE clock_timestamp() END
  FROM changed WHERE endpoint.id = changed.id
  RETURNING endpoint.tenant_id, endpoint.id, endpoint.status_reason AS reason, changed.reason IS NOT NULL AS is_disabled
)
SELECT tenant_id, id, reason FROM noted WHERE is_disabled
