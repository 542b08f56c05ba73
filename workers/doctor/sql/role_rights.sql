-- Who this login is. Membership counts as the role itself, for an operator may make logins of their own.
SELECT r.rolname::text AS login, r.rolsuper OR r.rolbypassrls AS is_unbound,
       r.rolcreaterole OR r.rolcreatedb AS may_make_roles,
       EXISTS (SELECT FROM pg_class c WHERE c.relowner = r.oid AND c.relkind IN ('r', 'p')) AS is_owner,
       coalesce((SELECT pg_has_role(r.oid, own.oid, 'USAGE') FROM pg_roles own WHERE own.rolname = %(own)s), false)
         AS has_own_role,
       -- A superuser is said to have every role.
       coalesce((
         SELECT array_agg(other.rolname::text ORDER BY other.rolname) FROM pg_roles other
         WHERE other.rolname = ANY (%(others)s::text[]) AND NOT r.rolsuper AND pg_has_role(r.oid, other.oid, 'USAGE')
       ), '{}') AS other_roles
FROM pg_roles r WHERE r.rolname = current_user
