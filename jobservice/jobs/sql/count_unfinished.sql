-- Unfinished jobs by pool and state, exact as far as the limit goes. Indexes: job_held (few rows: claims are bounded by
-- the workers' slots), job_ready, job_parked and job_due in their own order, so that each stops at the limit.
SELECT pool, state, count(*) AS jobs
FROM job_live WHERE state IN ('dispatched', 'executing') GROUP BY pool, state
UNION ALL
SELECT lane.pool, 'available', count(*)
FROM (
  (SELECT lane_id FROM job_live WHERE state = 'available' AND NOT is_parked
   ORDER BY lane_id, rank, job_id LIMIT %(limit)s)
  UNION ALL
  (SELECT lane_id FROM job_live WHERE is_parked ORDER BY is_throttled, lane_id, concurrency_hash, rank, job_id LIMIT %(limit)s)
) AS ready JOIN lane ON lane.id = ready.lane_id GROUP BY lane.pool
UNION ALL
SELECT due.pool, due.state, count(*)
FROM (
  SELECT pool, state FROM job_live WHERE state IN ('scheduled', 'retryable') ORDER BY due_at, job_id LIMIT %(limit)s
) AS due GROUP BY due.pool, due.state
