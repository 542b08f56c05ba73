-- The operators' page of health: rotations of tenants' keys that are under way, the oldest first.
SELECT tenant_id, name, old_version, new_version, begun_at FROM operator_key_rotations(%(session_key)s, %(limit)s)
