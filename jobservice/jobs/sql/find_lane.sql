-- Shares the lane with other accepts and with claims, but not with a deactivation. Index: the unique constraint.
SELECT id, is_active FROM lane
WHERE tenant_id = %(tenant)s AND queue = %(queue)s AND pool = %(pool)s
FOR KEY SHARE
