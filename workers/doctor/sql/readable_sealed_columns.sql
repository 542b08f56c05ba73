-- Columns that hold sealed bytes, wrapped keys or hashes of secrets, and that this role may read.
SELECT c.relname::text AS table_name, a.attname::text AS column_name
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
  AND (a.attname LIKE '%sealed%' OR a.attname IN ('wrapped', 'secret_hash') OR c.relname = 'blob')
  AND has_column_privilege(c.oid, a.attnum, 'SELECT')
ORDER BY 1, 2
