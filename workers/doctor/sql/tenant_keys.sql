-- The wrapped keys of the named tenants. Index: data_key's unique constraint, by the policy's own condition.
SELECT tenant_id, purpose, version, wrapped FROM data_key ORDER BY tenant_id
