-- Tables of a tenant that lack a part of their protection, and partitions that can be reached past their parent.
SELECT c.relname::text AS table_name,
       CASE WHEN NOT c.relrowsecurity THEN 'row-level security is off'
            WHEN NOT c.relforcerowsecurity THEN 'not forced on its owner'
            WHEN NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polpermissive) THEN 'no policy'
            ELSE 'no restrictive policy' END AS fault
FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND (c.relname = 'tenant' OR EXISTS (
    SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped))
  AND NOT (
    c.relrowsecurity AND c.relforcerowsecurity
    AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polpermissive)
    AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND NOT p.polpermissive))
UNION ALL
SELECT c.relname::text, 'a partition that ' || r.rolname || ' may read past its parent'
FROM pg_class c CROSS JOIN pg_roles r
WHERE c.relnamespace = 'public'::regnamespace AND c.relispartition AND c.relkind = 'r'
  AND r.rolname IN (current_database() || '_web', current_database() || '_worker', current_database() || '_dispatcher')
  AND has_any_column_privilege(r.oid, c.oid, 'SELECT')
ORDER BY 1
