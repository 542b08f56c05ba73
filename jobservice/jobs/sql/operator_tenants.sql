-- The operators' table of tenants. As the web's role, which sees one tenant at a time, hence a function that runs as the
-- owner, returns figures only and asks first whose session's key it was given; see tenants/sql/operators.sql.

CREATE FUNCTION operator_tenants(
  session_key text, prefix text, by_wait boolean, most integer, skip integer, most_lanes integer, most_counted integer
) RETURNS TABLE (
  tenant_id uuid, name text, status text, weight integer, plan text, quotas jsonb, running bigint, has_work boolean,
  oldest_due_seconds float8, waiting bigint, open_jobs bigint, all_running bigint, all_weights bigint, tenants bigint
)
-- A page of tenants with what each has now, and the sums over all: what runs, and the weights of those that have work.
-- Nothing here grows with the number of jobs. What runs is bounded by the workers' slots (job_slots, of its entries alone);
-- of each lane that is awake the first job is looked at (share_turn's rows, lane_turn, job_ready); waiting jobs are counted
-- for the page only, as far as `most_counted` for each tenant; unfinished ones are the counters of the quotas.
-- What is suspended or paused waits on purpose (the next claim marks the lanes of a paused queue), and so does what is
-- parked for its key or its endpoint.
-- Planned for its arguments each time, or from the sixth call on for any page and any order.
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
SET plan_cache_mode = force_custom_plan SET jit = off AS $$
#variable_conflict use_column
BEGIN
  IF acting_operator(session_key) IS NULL THEN
    RAISE EXCEPTION 'only for operators' USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'operators_only';
  END IF;
  RETURN QUERY
  WITH held AS MATERIALIZED (
    SELECT job_live.tenant_id, count(*) AS jobs FROM job_live
    WHERE state IN ('dispatched', 'executing') GROUP BY job_live.tenant_id
  ), awake AS MATERIALIZED (
    SELECT lane.tenant_id, lane.id
    FROM share JOIN lane ON lane.tenant_id = share.tenant_id AND lane.pool = share.pool
    WHERE share.is_active AND share.blocked_by IS DISTINCT FROM 'tenant-suspended'
      AND lane.is_active AND lane.blocked_by IS DISTINCT FROM 'queue-paused'
    LIMIT most_lanes
  ), first AS MATERIALIZED (
    SELECT awake.tenant_id, min(top.due_at) AS due_at
    FROM awake CROSS JOIN LATERAL (
      SELECT due_at FROM job_live
      WHERE lane_id = awake.id AND state = 'available' AND NOT is_parked ORDER BY rank, job_id LIMIT 1
    ) AS top
    GROUP BY awake.tenant_id
  ), known AS MATERIALIZED (
    SELECT t.id, t.name, t.status, t.weight, t.plan, t.quotas, coalesce(held.jobs, 0) AS running, first.due_at,
           held.jobs IS NOT NULL OR first.due_at IS NOT NULL AS has_work
    FROM tenant t LEFT JOIN held ON held.tenant_id = t.id
    LEFT JOIN first ON first.tenant_id = t.id AND t.status = 'active'
    WHERE t.status <> 'erased'
  ), whole AS MATERIALIZED (
    SELECT coalesce(sum(known.running), 0)::bigint AS running,
           coalesce(sum(known.weight) FILTER (WHERE known.has_work), 0)::bigint AS weights,
           count(*) FILTER (WHERE starts_with(lower(known.name), lower(prefix))) AS tenants
    FROM known
  ), page AS MATERIALIZED (
    SELECT * FROM known WHERE starts_with(lower(known.name), lower(prefix))
    ORDER BY CASE WHEN by_wait THEN known.due_at END NULLS LAST, known.name, known.id LIMIT most OFFSET skip
  )
  SELECT page.id, page.name, page.status, page.weight, page.plan, page.quotas, page.running, page.has_work,
         CASE WHEN page.due_at IS NOT NULL THEN greatest(0, extract(epoch FROM clock_timestamp() - page.due_at)) END::float8,
         depth.jobs, coalesce(counted.jobs, 0),
         whole.running, whole.weights, whole.tenants
  FROM whole CROSS JOIN page
  CROSS JOIN LATERAL (
    SELECT sum(tenant_usage.open_jobs)::bigint AS jobs FROM tenant_usage WHERE tenant_usage.tenant_id = page.id
  ) AS counted
  CROSS JOIN LATERAL (
    SELECT count(*) AS jobs FROM (
      SELECT FROM lane CROSS JOIN LATERAL (
        SELECT FROM job_live WHERE lane_id = lane.id AND state = 'available' AND NOT is_parked LIMIT most_counted + 1
      ) AS ready
      WHERE lane.tenant_id = page.id AND lane.is_active LIMIT most_counted + 1
    ) AS first_ones
  ) AS depth
  ORDER BY CASE WHEN by_wait THEN page.due_at END NULLS LAST, page.name, page.id;
END $$;
REVOKE ALL ON FUNCTION operator_tenants FROM PUBLIC;
GRANT EXECUTE ON FUNCTION operator_tenants TO {web};
