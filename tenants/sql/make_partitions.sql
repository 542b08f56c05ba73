CREATE OR REPLACE FUNCTION make_partitions(ahead integer DEFAULT 3) RETURNS integer
-- Makes the week partitions of every table partitioned by id, from this week to `ahead` weeks ahead; the number made.
-- A week whose rows lie in the default partition already gets none: one id of a clock that is weeks ahead must not keep the
-- other weeks and tables without theirs. The doctor tells of it.
-- Runs as the owner, because only it may attach partitions: the dispatcher's maintenance calls it.
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE parent text; monday timestamptz; made integer := 0; child text;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('make_partitions'));
  FOR parent IN
    SELECT c.relname FROM pg_partitioned_table p JOIN pg_class c ON c.oid = p.partrelid
    WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1
  LOOP
    FOR week IN 0..ahead LOOP
      monday := date_trunc('week', clock_timestamp() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' + week * interval '7 days';
      child := parent || '_' || to_char(monday AT TIME ZONE 'UTC', 'YYYYMMDD');
      IF to_regclass('public.' || quote_ident(child)) IS NULL THEN
        BEGIN
          EXECUTE format('CREATE TABLE public.%I PARTITION OF public.%I FOR VALUES FROM (%L) TO (%L)', child, parent,
                         public.uuid7_at(monday), public.uuid7_at(monday + interval '7 days'));
          made := made + 1;
        EXCEPTION WHEN check_violation THEN
          RAISE WARNING 'no partition % is made: rows of its week lie in %', child, parent || '_default';
        END;
      END IF;
    END LOOP;
    child := parent || '_default';  -- catches what no partition was made for; doctor wants it empty
    IF to_regclass('public.' || quote_ident(child)) IS NULL THEN
      EXECUTE format('CREATE TABLE public.%I PARTITION OF public.%I DEFAULT', child, parent);
      made := made + 1;
    END IF;
  END LOOP;
  RETURN made;
END $$;
