SELECT child.relname::text AS table_name
FROM pg_partitioned_table p JOIN pg_class child ON child.oid = p.partdefid
WHERE child.relnamespace = 'public'::regnamespace
ORDER BY 1
