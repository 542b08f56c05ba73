-- Every table with rows of tenants, from the catalogue, with the columns of its primary key. Partitions are their
-- parent's. A new table is found without being named anywhere. The audit log outlives its tenant, and nobody can delete it.
SELECT c.relname::text AS name, array_agg(k.attname::text ORDER BY k.attnum) AS keys
FROM pg_class c
JOIN pg_attribute t ON t.attrelid = c.oid AND t.attname = 'tenant_id' AND NOT t.attisdropped
JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
JOIN pg_attribute k ON k.attrelid = c.oid AND k.attnum = ANY (i.indkey)
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = 'public'::regnamespace
  AND c.relname NOT IN ('audit_head', 'audit_event')
GROUP BY c.relname
ORDER BY c.relname
