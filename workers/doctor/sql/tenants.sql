-- The tenants whose data lives here, oldest first; one that was erased has neither keys nor values. Index: tenant_pkey.
SELECT id FROM tenant WHERE status <> 'erased' ORDER BY id LIMIT %(limit)s
