-- The lane of a queue and pool, shared with accepts and claims but not with a deactivation; none when there is none.
-- Index: the unique constraint of lane.
SELECT id, is_active FROM lane
WHERE tenant_id = %(tenant)s AND queue = %(queue)s AND pool = %(pool)s
FOR KEY SHARE
