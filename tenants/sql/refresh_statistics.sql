CREATE FUNCTION refresh_statistics() RETURNS text
-- Analyses the table that has grown most since it was last analysed or vacuumed, if one has doubled; its name, or null.
-- A statement that was planned while a queue was nearly empty reads all of it, and goes on so when it is full: autovacuum
-- looks once a minute. What is analysed here is planned anew in every session.
-- Runs as the owner, because only it may analyse: the dispatcher's maintenance calls it.
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE grown record;
BEGIN
  FOR grown IN
    SELECT c.oid::regclass AS name, c.relpages
    FROM pg_class c
    CROSS JOIN LATERAL (SELECT pg_relation_size(c.oid) / current_setting('block_size')::bigint AS count) AS pages
    -- Smaller ones are read whole in no time.
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
      AND pages.count >= 16 AND pages.count >= 2 * c.relpages
    ORDER BY pages.count::float8 / greatest(c.relpages, 1) DESC, c.oid
  LOOP
    EXECUTE format('ANALYZE (SKIP_LOCKED) %s', grown.name);
    -- Passed over when another dispatcher, or autovacuum, is at it: then the next.
    IF grown.relpages <> (SELECT relpages FROM pg_class WHERE oid = grown.name) THEN
      RETURN grown.name;
    END IF;
  END LOOP;
  RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION refresh_statistics FROM PUBLIC;
GRANT EXECUTE ON FUNCTION refresh_statistics TO {dispatcher};
