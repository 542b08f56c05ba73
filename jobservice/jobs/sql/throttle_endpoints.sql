-- record: these endpoints said "not now". Each is held back for as long as it asked, or longer if it is already; what
-- waited begins again with a small batch. What a version of a type says that was written over binds nobody.
-- One statement for the whole group, in order, so that two recorders cannot block each other. Index: the primary key.
-- Locks: after the live rows, before shares and lanes.
INSERT INTO endpoint_throttle AS held (tenant_id, type, type_version, until, batch, let_go_at)
SELECT asked.tenant_id, asked.type, asked.type_version, asked.until, %(batch)s, asked.until
FROM (
  SELECT DISTINCT ON (tenant_id, type) tenant_id, type, type_version,
         clock_timestamp() + make_interval(secs => least(seconds, %(most_seconds)s::float8)) AS until
  FROM unnest(%(tenants)s::uuid[], %(types)s::text[], %(versions)s::integer[], %(seconds)s::float8[])
    AS a (tenant_id, type, type_version, seconds)
  ORDER BY tenant_id, type, type_version DESC, seconds DESC
) AS asked
ORDER BY asked.tenant_id, asked.type
ON CONFLICT (tenant_id, type) DO UPDATE
SET type_version = excluded.type_version, batch = excluded.batch,
    until = CASE WHEN held.type_version = excluded.type_version THEN greatest(held.until, excluded.until)
                 ELSE excluded.until END,
    let_go_at = CASE WHEN held.type_version = excluded.type_version THEN greatest(held.until, excluded.until)
                     ELSE excluded.until END
WHERE held.type_version <= excluded.type_version
RETURNING tenant_id, type, until
