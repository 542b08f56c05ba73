-- The function is the only way to look under many tenants' policies at once; it is in bulk_actions.sql.
SELECT tenant_id, id, stalls FROM lease_bulk_action(%(holder)s, %(lease_seconds)s)
