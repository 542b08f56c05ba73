-- Bulk actions: one row per order to cancel, retry or delete what a filter matches, with how far it has come.

CREATE TABLE bulk_action (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenant (id),
  action text NOT NULL CHECK (action IN ('cancel', 'retry', 'delete')),
  filter jsonb NOT NULL,
  queues text[],                    -- those that the asking key was limited to; null: all
  max_jobs integer NOT NULL CHECK (max_jobs > 0),
  status text NOT NULL DEFAULT 'running' CHECK (status IN ('running', 'completed', 'aborted', 'failed')),
  matched integer NOT NULL CHECK (matched BETWEEN 0 AND max_jobs),
  done integer NOT NULL DEFAULT 0 CHECK (done >= 0),
  skipped integer NOT NULL DEFAULT 0 CHECK (skipped >= 0),
  last_job_id uuid,                 -- of those that it found; no job beyond it is touched
  position uuid,                    -- the job that was its turn last: the next has a larger id
  holder uuid,                      -- the run that has it now, until its lease is over
  leased_until timestamptz,
  served_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  stalls smallint NOT NULL DEFAULT 0,  -- leases since the last step forward
  created_at timestamptz NOT NULL DEFAULT now(),
  finished_at timestamptz,
  CHECK ((status = 'running') = (finished_at IS NULL)),
  CHECK ((holder IS NULL) = (leased_until IS NULL)),
  CHECK (status = 'running' OR holder IS NULL),
  CHECK (done + skipped <= matched),
  CHECK (status <> 'completed' OR done + skipped = matched),
  CHECK ((matched = 0) = (last_job_id IS NULL))
) WITH (fillfactor = 50);
CREATE INDEX bulk_action_of_tenant ON bulk_action (tenant_id, id);                               -- lists, newest first
CREATE INDEX bulk_action_turn ON bulk_action (served_at, id) WHERE status = 'running';           -- lease_bulk_action
CREATE INDEX bulk_action_age ON bulk_action (finished_at) WHERE status <> 'running';             -- pruning

CREATE FUNCTION lease_bulk_action(new_holder uuid, lease_seconds double precision)
RETURNS TABLE (tenant_id uuid, id uuid, stalls smallint)
-- The running action that was served longest ago and that nobody holds, for one turn. Of a suspended tenant none is
-- served. Runs as the owner: whose turn it is, is known before a tenant is, and nothing of the action is told.
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH next AS MATERIALIZED (
    SELECT b.id FROM bulk_action b
    WHERE b.status = 'running' AND (b.leased_until IS NULL OR b.leased_until <= clock_timestamp())
      AND EXISTS (SELECT FROM tenant t WHERE t.id = b.tenant_id AND t.status = 'active')
    ORDER BY b.served_at, b.id LIMIT 1
    FOR UPDATE SKIP LOCKED
  )
  UPDATE bulk_action a
  SET holder = new_holder, leased_until = clock_timestamp() + make_interval(secs => lease_seconds),
      served_at = clock_timestamp(), stalls = a.stalls + 1
  FROM next WHERE a.id = next.id
  RETURNING a.tenant_id, a.id, a.stalls
$$;
REVOKE ALL ON FUNCTION lease_bulk_action FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lease_bulk_action TO {web};
