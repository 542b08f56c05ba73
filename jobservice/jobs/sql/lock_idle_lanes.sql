-- Lanes that look idle. Index: job_ready for the look. Never waits for a lock.
SELECT lane.id FROM lane
WHERE lane.is_active AND lane.served_at < clock_timestamp() - make_interval(secs => %(idle_seconds)s)
  AND NOT EXISTS (SELECT FROM job_live WHERE lane_id = lane.id AND state = 'available' AND NOT is_parked)
ORDER BY lane.id LIMIT 500
FOR UPDATE SKIP LOCKED
