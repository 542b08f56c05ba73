-- An endpoint that says "not now" is asked no more for a while: the jobs of its type are parked, and nobody else's.

CREATE TABLE endpoint_throttle (
  tenant_id uuid NOT NULL,
  type text NOT NULL,
  -- A type that was written again has another endpoint, or a mended one: what the old one said binds it no more.
  type_version integer NOT NULL,
  until timestamptz NOT NULL,
  -- How the jobs parked meanwhile go on when it is over: so many, not before that time.
  batch integer NOT NULL CHECK (batch >= 1),
  let_go_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, type)
) WITH (fillfactor = 50);

ALTER TABLE job_live
  -- Parked for its endpoint and not for its key: neither an end of its key nor a changed limit lets it go on.
  ADD COLUMN is_throttled boolean NOT NULL DEFAULT false,
  ADD CONSTRAINT job_live_throttled CHECK (is_parked OR NOT is_throttled),
  DROP CONSTRAINT job_live_parked,
  ADD CONSTRAINT job_live_parked CHECK (
    NOT is_parked OR (state = 'available' AND (is_throttled OR concurrency_hash IS NOT NULL)));
DROP INDEX job_parked;
-- free_slots.sql and unpark_jobs.sql go from key to key, and must not meet those that wait for their endpoint.
CREATE INDEX job_parked ON job_live (is_throttled, lane_id, concurrency_hash, rank, job_id) WHERE is_parked;
CREATE INDEX job_throttled ON job_live (tenant_id, type, rank, job_id) WHERE is_throttled;  -- let_go_throttled.sql
