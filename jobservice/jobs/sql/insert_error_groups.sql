-- record: groups of errors that may be new, with the text of the first one. Index: error_group_pkey; sorted by it.
INSERT INTO error_group (tenant_id, id, type, code, message_sealed, first_seen_at, last_seen_at)
SELECT tenant_id, id, type, code, message, at, at
FROM unnest(%(tenants)s::uuid[], %(groups)s::uuid[], %(types)s::text[], %(codes)s::text[], %(messages)s::bytea[],
            %(finished)s::timestamptz[]) AS new (tenant_id, id, type, code, message, at)
ON CONFLICT (tenant_id, id) DO NOTHING
