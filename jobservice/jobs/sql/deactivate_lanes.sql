-- The second look, under the lock: a job committed meanwhile keeps its lane awake.
UPDATE lane SET is_active = false, blocked_by = NULL, blocked_until = NULL
WHERE id = ANY (%(lanes)s)
  AND NOT EXISTS (SELECT FROM job_live WHERE lane_id = lane.id AND state = 'available' AND NOT is_parked)
RETURNING id
