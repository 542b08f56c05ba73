-- A function that runs as the owner must not take the caller's word for what a name means. Temporary objects are searched
-- first unless the path names them: a view of the web's own, named as a table, would run as the owner.
DO $$
DECLARE definer regprocedure;
BEGIN
  FOR definer IN
    SELECT oid FROM pg_proc
    WHERE prosecdef AND pronamespace = 'public'::regnamespace AND pg_has_role(proowner, 'USAGE')
  LOOP
    EXECUTE format('ALTER FUNCTION %s SET search_path = pg_catalog, public, pg_temp', definer);
  END LOOP;
  -- The runtime roles make no temporary objects at all. Only the database's owner can take that away; the paths hold
  -- without it.
  IF (SELECT pg_has_role(datdba, 'USAGE') FROM pg_database WHERE datname = current_database()) THEN
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
  END IF;
END $$;

-- Whether the link was printed for the operator: one that a stranger asks for must not take its place.
ALTER TABLE account ADD COLUMN reset_is_printed boolean NOT NULL DEFAULT false;
GRANT UPDATE (reset_is_printed) ON account TO {web};
