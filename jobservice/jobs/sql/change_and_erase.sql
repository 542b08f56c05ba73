-- What changing, erasing and waiting for a job need besides the tables.

-- erase_blobs.sql asks whether another job was submitted with the same sealed value. Their ids grow with time, so block
-- ranges find it at almost no cost to an accept; a range keeps several minima, for a shared value is older than its jobs.
CREATE INDEX job_sealed ON job USING brin (
  payload_id uuid_minmax_multi_ops, metadata_id uuid_minmax_multi_ops, callback_id uuid_minmax_multi_ops
) WITH (pages_per_range = 32, autosummarize = on);

CREATE FUNCTION unfinished_jobs(tenants uuid[], jobs uuid[]) RETURNS SETOF uuid
-- Which of these jobs, each named with its tenant, are not over. One statement for the waiters of many tenants, though
-- the web's policy shows one tenant at a time: each job is looked up under its own tenant. Index: job_live_pkey.
LANGUAGE plpgsql AS $$
BEGIN
  FOR n IN 1 .. cardinality(jobs) LOOP
    PERFORM set_config('app.tenant', tenants[n]::text, true);
    RETURN QUERY SELECT l.job_id FROM job_live l WHERE l.tenant_id = tenants[n] AND l.job_id = jobs[n];
  END LOOP;
END $$;
REVOKE ALL ON FUNCTION unfinished_jobs FROM PUBLIC;
GRANT EXECUTE ON FUNCTION unfinished_jobs TO {web};
