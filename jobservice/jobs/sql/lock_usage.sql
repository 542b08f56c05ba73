-- All slots of a tenant, in order, until the transaction ends: nobody counts meanwhile. Index: tenant_usage_pkey.
SELECT slot FROM tenant_usage
WHERE tenant_id = %(tenant)s ORDER BY slot FOR NO KEY UPDATE
