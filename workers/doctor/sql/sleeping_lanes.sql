-- Lanes that are asleep, or whose share is, or blocked past their time, and have an available job. Index: job_ready, one
-- probe per lane.
SELECT lane.queue, CASE WHEN lane.is_active AND share.is_active THEN 'blocked' ELSE 'asleep' END AS fault
FROM lane LEFT JOIN share USING (tenant_id, pool)
WHERE (NOT lane.is_active OR share.is_active IS NOT TRUE
       OR lane.blocked_until < clock_timestamp() - make_interval(secs => %(grace_seconds)s))
  AND EXISTS (
    SELECT FROM job_live
    WHERE job_live.lane_id = lane.id AND job_live.state = 'available' AND NOT job_live.is_parked)
ORDER BY lane.id LIMIT %(limit)s
