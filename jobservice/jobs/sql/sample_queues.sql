-- The share of the live jobs' table that at most so many of its pages are, and the jobs of some queues found there.
-- No index: SYSTEM reads whole pages at random, so the cost does not grow with the backlog.
WITH size AS MATERIALIZED (
  SELECT least(1.0, %(pages)s::float8 * current_setting('block_size')::float8
                    / greatest(1, pg_relation_size('job_live'))) AS ratio
)
SELECT size.ratio, sampled.queue, sampled.state, sampled.jobs
FROM size LEFT JOIN (
  SELECT lane.queue, live.state, count(*) AS jobs
  FROM job_live AS live TABLESAMPLE SYSTEM ((SELECT (ratio * 100)::real FROM size))
  JOIN lane ON lane.id = live.lane_id
  WHERE live.tenant_id = %(tenant)s AND lane.tenant_id = %(tenant)s AND lane.queue = ANY (%(queues)s)
  GROUP BY lane.queue, live.state
) AS sampled ON true
