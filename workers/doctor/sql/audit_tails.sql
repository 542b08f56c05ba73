-- The end of each tenant's audit log beside its head, in one snapshot: whoever appends writes both. Read as the owner,
-- who may see every tenant's. Index: audit_event_seq.
SELECT tenant.id AS owner_id, head.seq AS head_seq, head.hash AS head_hash, head.signature, event.*
FROM (SELECT id FROM tenant ORDER BY id LIMIT %(tenants)s) AS tenant
LEFT JOIN audit_head head ON head.tenant_id = tenant.id
LEFT JOIN LATERAL (
  SELECT * FROM audit_event e WHERE e.tenant_id = tenant.id ORDER BY e.seq DESC LIMIT %(events)s
) AS event ON true
ORDER BY tenant.id, event.seq
