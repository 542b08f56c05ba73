-- The week partitions of each partitioned table; the catalogue only.
SELECT parent.relname::text AS table_name, pg_get_expr(child.relpartbound, child.oid) AS bound
FROM pg_partitioned_table p
JOIN pg_class parent ON parent.oid = p.partrelid AND parent.relnamespace = 'public'::regnamespace
LEFT JOIN pg_inherits i ON i.inhparent = parent.oid
LEFT JOIN pg_class child ON child.oid = i.inhrelid
