-- The endpoint was mended: it is tried at once, by one first if it failed before. In a transaction of its own, for whoever
-- records locks this row before the endpoint's. Index: the primary key.
UPDATE delivery_health SET blocked_until = NULL
WHERE tenant_id = %(tenant)s AND target_id = %(endpoint)s AND blocked_until IS NOT NULL
