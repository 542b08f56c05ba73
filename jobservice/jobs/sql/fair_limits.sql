-- Sharing fairly, and within limits: turns in two levels (tenants, then a tenant's lanes), and what holds a lane back.

CREATE TABLE share (
  -- A tenant's share of a pool: its turn among the tenants, and the virtual time that its own lanes are served by.
  tenant_id uuid NOT NULL REFERENCES tenant (id),
  pool text NOT NULL REFERENCES pool (name),
  is_active boolean NOT NULL DEFAULT true,
  blocked_by text CHECK (blocked_by IN ('tenant-concurrency', 'tenant-suspended')),
  vtime double precision NOT NULL DEFAULT 0,
  lane_vtime double precision NOT NULL DEFAULT 0,
  -- The last claim left it without work: whatever comes next starts at the present virtual time.
  is_drained boolean NOT NULL DEFAULT true,
  PRIMARY KEY (tenant_id, pool),
  -- Asleep, it is held back by nothing: it is looked at anew when it wakes.
  CHECK (is_active OR blocked_by IS NULL)
) WITH (fillfactor = 50);
CREATE INDEX share_turn ON share (pool, vtime, tenant_id) WHERE is_active AND blocked_by IS NULL;  -- lock_shares.sql
CREATE INDEX share_blocked ON share (tenant_id, pool) WHERE blocked_by IS NOT NULL;              -- free_slots.sql

CREATE TABLE claim_gate (
  -- One row per tenant, locked by whoever claims jobs of the tenant, so that the slots that it counts are all there are.
  tenant_id uuid PRIMARY KEY REFERENCES tenant (id)
);

CREATE TABLE queue_rate (
  -- The token bucket of a queue with a rate: when it would be full again if nothing more were taken. No row: it is full.
  tenant_id uuid NOT NULL,
  queue text NOT NULL,
  full_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, queue)
) WITH (fillfactor = 50);

ALTER TABLE lane
  ADD COLUMN is_drained boolean NOT NULL DEFAULT true,
  DROP CONSTRAINT lane_check,
  ADD CONSTRAINT lane_blocked_by CHECK (blocked_by IN ('queue-paused', 'queue-concurrency', 'queue-rate')),
  -- Only a rate knows until when.
  ADD CONSTRAINT lane_blocked_until CHECK ((blocked_by IS NOT DISTINCT FROM 'queue-rate') = (blocked_until IS NOT NULL)),
  ADD CONSTRAINT lane_asleep CHECK (is_active OR blocked_by IS NULL);
-- A tenant's weight is its share's. Its queues are equals.
DO $$
DECLARE
  tenant_id uuid;
BEGIN
  -- Each tenant's rows are seen under its own name only, by the owner too.
  FOR tenant_id IN SELECT id FROM tenant LOOP
    PERFORM set_config('app.tenant', tenant_id::text, true);
    UPDATE lane SET weight = 1, vtime = 0;
    INSERT INTO claim_gate SELECT DISTINCT lane.tenant_id FROM lane;
    INSERT INTO share (tenant_id, pool, is_active, vtime)
    SELECT lane.tenant_id, lane.pool, bool_or(lane.is_active), pool.vtime
    FROM lane JOIN pool ON pool.name = lane.pool GROUP BY lane.tenant_id, lane.pool, pool.vtime;
  END LOOP;
  PERFORM set_config('app.tenant', '', true);
END $$;
DROP INDEX lane_turn;
CREATE INDEX lane_turn ON lane (tenant_id, pool, vtime, id) WHERE is_active AND blocked_by IS NULL;  -- claim_jobs.sql
CREATE INDEX lane_blocked ON lane (tenant_id, queue) WHERE blocked_by IS NOT NULL;                   -- free_slots.sql
CREATE INDEX lane_rated ON lane (blocked_until) WHERE blocked_until IS NOT NULL;                     -- open_rated_lanes.sql

ALTER TABLE job_live
  ADD COLUMN concurrency_hash bytea CHECK (octet_length(concurrency_hash) = 32),
  -- Its key is busy: it leaves the claim's sight until a job of the same key makes room, so that a thousand jobs of one
  -- customer hide nobody else's.
  ADD COLUMN is_parked boolean NOT NULL DEFAULT false,
  ADD CONSTRAINT job_live_parked CHECK (NOT is_parked OR (state = 'available' AND concurrency_hash IS NOT NULL));
DROP INDEX job_ready;
CREATE INDEX job_ready ON job_live (lane_id, rank, job_id) WHERE state = 'available' AND NOT is_parked;  -- claim_jobs.sql
CREATE INDEX job_parked ON job_live (lane_id, concurrency_hash, rank, job_id) WHERE is_parked;           -- free_slots.sql
-- The slots in use, as a claim counts them.
CREATE INDEX job_slots ON job_live (tenant_id, lane_id, concurrency_hash) WHERE state IN ('dispatched', 'executing');
