-- Which of these tenants have an endpoint that asked for one of these events. Index: webhook_endpoint_of_tenant.
SELECT DISTINCT tenant_id FROM webhook_endpoint
WHERE tenant_id = ANY (%(tenants)s) AND events && %(wanted)s::text[]
