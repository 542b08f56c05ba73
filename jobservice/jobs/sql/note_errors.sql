-- record: failed runs, a row for each group. Added, never updated (error_groups.py).
INSERT INTO error_delta (tenant_id, group_id, type, code, at, runs)
SELECT tenant_id, group_id, min(type), min(code), max(finished_at), count(*)
FROM unnest(%(tenants)s::uuid[], %(groups)s::uuid[], %(types)s::text[], %(codes)s::text[], %(finished)s::timestamptz[])
  AS seen (tenant_id, group_id, type, code, finished_at)
GROUP BY tenant_id, group_id
