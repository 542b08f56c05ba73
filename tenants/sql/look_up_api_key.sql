-- The one read before any tenant is known. Index: the unique constraint of api_key.lookup_id.
SELECT id, tenant_id, secret_hash, previous_secret_hash, scopes, queues, cidrs, expires_at, is_live, is_use_unnoted,
       tenant_name, tenant_status, tenant_quotas
FROM look_up_api_key(%(lookup_id)s)
