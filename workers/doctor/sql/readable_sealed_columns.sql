-- Columns that hold sealed bytes, wrapped keys or hashes of secrets, and that this role may read: all bytes but the keyed
-- hashes of lock names.
SELECT c.relname::text AS table_name, a.attname::text AS column_name
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
  AND (c.relname = 'blob' OR a.atttypid = 'bytea'::regtype AND (c.relname, a.attname) NOT IN (
    ('job', 'unique_hash'), ('job', 'concurrency_hash'), ('job_live', 'concurrency_hash'), ('unique_claim', 'hash'),
    ('idempotency_key', 'hash')))
  AND has_column_privilege(c.oid, a.attnum, 'SELECT')
ORDER BY 1, 2
