-- Lanes that are asleep, or blocked past their time, and have an available job. Index: job_ready, one probe per lane.
SELECT lane.queue, CASE WHEN lane.is_active THEN 'blocked' ELSE 'asleep' END AS fault
FROM lane
WHERE (NOT lane.is_active OR lane.blocked_until < clock_timestamp() - make_interval(secs => %(grace_seconds)s))
  AND EXISTS (SELECT FROM job_live WHERE job_live.lane_id = lane.id AND job_live.state = 'available')
ORDER BY lane.id LIMIT %(limit)s
