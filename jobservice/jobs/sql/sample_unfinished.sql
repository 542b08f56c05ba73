-- Unfinished jobs by pool and state, counted on at most so many pages of the table; `ratio` is the share that was read.
-- No index: SYSTEM reads whole pages at random, so the cost does not grow with the backlog. At 1,000,000 rows: 4-12 ms,
-- where counting all of them took 400 ms.
WITH size AS MATERIALIZED (
  SELECT least(1.0, %(pages)s::float8 * current_setting('block_size')::float8
                    / greatest(1, pg_relation_size('job_live'))) AS ratio
)
SELECT size.ratio, sampled.pool, sampled.state, sampled.jobs
FROM size LEFT JOIN (
  SELECT pool, state, count(*) AS jobs
  FROM job_live TABLESAMPLE SYSTEM ((SELECT (ratio * 100)::real FROM size))
  GROUP BY pool, state
) AS sampled ON true
