-- The queue itself. Hot and cold are apart: `job_live` has one narrow row per unfinished job and takes every change;
-- `job` is wide, partitioned by its UUIDv7, and written twice: at accept and at the end.

CREATE TABLE pool (
  -- A kind of worker, and the virtual time its lanes are served by (start-time fair queueing, Goyal et al. 1996).
  name text PRIMARY KEY,
  vtime double precision NOT NULL DEFAULT 0
);
INSERT INTO pool (name) VALUES ('handlers'), ('egress');

CREATE TABLE worker (
  -- A live process that takes work of one pool. Belongs to no tenant.
  id uuid PRIMARY KEY,
  pool text NOT NULL CHECK (pool IN ('handlers', 'egress', 'deliveries')),
  host text NOT NULL,
  pid integer NOT NULL,
  version text NOT NULL,
  slots integer NOT NULL CHECK (slots >= 0),
  -- How many short jobs one slot takes at once, from run times seen; 1 when they are long or not known.
  jobs_per_slot integer NOT NULL DEFAULT 1 CHECK (jobs_per_slot BETWEEN 1 AND 100),
  -- Mean run time of each handler in milliseconds, as this worker saw it.
  run_times jsonb NOT NULL DEFAULT '{}',
  is_draining boolean NOT NULL DEFAULT false,
  started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  seen_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE job_type (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenant (id),
  name text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,99}$'),
  executor text NOT NULL CHECK (executor IN ('http', 'handler', 'pull')),
  -- The URL and the headers may hold credentials: one sealed document {url, headers}.
  http_sealed bytea CHECK ((http_sealed IS NOT NULL) = (executor = 'http')),
  handler text CHECK ((handler IS NOT NULL) = (executor = 'handler')),
  defaults jsonb NOT NULL DEFAULT '{}',
  on_crash text NOT NULL DEFAULT 'retry' CHECK (on_crash IN ('retry', 'discard')),
  version integer NOT NULL DEFAULT 1,  -- the ETag
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  UNIQUE (tenant_id, name)
);

CREATE TABLE queue (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenant (id),
  name text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,99}$'),
  concurrency integer CHECK (concurrency >= 0),
  key_concurrency integer NOT NULL DEFAULT 1 CHECK (key_concurrency >= 1),
  rate jsonb,
  paused_at timestamptz,
  retention_days integer CHECK (retention_days >= 1),
  version integer NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  UNIQUE (tenant_id, name)
);

CREATE TABLE lane (
  -- One per (tenant, queue, pool) that ever had work: what the dispatcher chooses between.
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenant (id),
  queue text NOT NULL,
  pool text NOT NULL REFERENCES pool (name),
  is_active boolean NOT NULL DEFAULT true,
  blocked_until timestamptz,
  blocked_by text,
  weight integer NOT NULL DEFAULT 1 CHECK (weight >= 1),
  vtime double precision NOT NULL DEFAULT 0,
  served_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  UNIQUE (tenant_id, queue, pool),
  CHECK ((blocked_until IS NULL) = (blocked_by IS NULL))
) WITH (fillfactor = 50);
CREATE INDEX lane_turn ON lane (pool, vtime, id) WHERE is_active;  -- claim_jobs.sql: whose turn it is

CREATE TABLE job (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  version smallint NOT NULL DEFAULT 1,
  type text NOT NULL,
  executor text NOT NULL CHECK (executor IN ('http', 'handler', 'pull')),
  handler text CHECK ((handler IS NOT NULL) = (executor = 'handler')),
  queue text NOT NULL,
  pool text NOT NULL,
  priority smallint NOT NULL CHECK (priority BETWEEN 0 AND 9),
  max_attempts smallint NOT NULL CHECK (max_attempts BETWEEN 1 AND 100),
  timeout_seconds integer NOT NULL CHECK (timeout_seconds BETWEEN 1 AND 86400),
  retry jsonb NOT NULL,
  tags jsonb NOT NULL DEFAULT '{}',
  payload_id uuid NOT NULL,
  payload_bytes integer NOT NULL,
  metadata_id uuid,
  callback_id uuid,
  unique_hash bytea,
  concurrency_hash bytea,
  traceparent text,
  run_at timestamptz NOT NULL,
  start_deadline_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- The end; null while the job is in job_live.
  final_state text CHECK (final_state IN ('completed', 'discarded', 'cancelled')),
  finished_at timestamptz,
  available_at timestamptz,
  dispatched_at timestamptz,
  first_started_at timestamptz,
  last_started_at timestamptz,
  attempt integer NOT NULL DEFAULT 0,
  crash_count integer NOT NULL DEFAULT 0,
  epoch bigint NOT NULL DEFAULT 0,
  result_id uuid,
  error_code text,
  error_id uuid,
  error_epoch bigint,
  end_event_id uuid,
  -- A job has an end, with its one event, if and only if it is over.
  CHECK ((final_state IS NULL) = (finished_at IS NULL)),
  CHECK ((final_state IS NULL) = (end_event_id IS NULL)),
  CHECK (final_state = 'completed' OR result_id IS NULL)
) PARTITION BY RANGE (id);
CREATE INDEX job_of_tenant ON job (tenant_id, id);               -- lists, newest first
CREATE INDEX job_ended ON job (tenant_id, final_state, id) WHERE final_state IS NOT NULL;  -- lists by a terminal state

CREATE TABLE job_live (
  job_id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  lane_id bigint NOT NULL,
  pool text NOT NULL,
  type text NOT NULL,
  state text NOT NULL CHECK (
    state IN ('scheduled', 'available', 'dispatched', 'executing', 'retryable', 'suspended')),
  -- Order inside a lane: due + priority × 60 s, so a low priority waits longer but never for ever.
  rank timestamptz NOT NULL,
  priority smallint NOT NULL,
  due_at timestamptz NOT NULL,
  available_at timestamptz,
  dispatched_at timestamptz,
  started_at timestamptz,
  first_started_at timestamptz,
  epoch bigint NOT NULL DEFAULT 0,
  attempt integer NOT NULL DEFAULT 0,
  crash_count integer NOT NULL DEFAULT 0,
  lease_until timestamptz,
  worker_id uuid,
  group_id uuid,
  cancel_requested boolean NOT NULL DEFAULT false,
  suspended_reason text,
  error_code text,
  error_id uuid,
  error_epoch bigint,
  -- A lease is held exactly while the job is claimed; a worker and a group exactly while it runs.
  CHECK ((state IN ('dispatched', 'executing')) = (lease_until IS NOT NULL)),
  CHECK ((state = 'executing') = (worker_id IS NOT NULL)),
  CHECK ((state = 'executing') = (group_id IS NOT NULL)),
  CHECK ((state = 'suspended') = (suspended_reason IS NOT NULL)),
  CHECK (state <> 'executing' OR (attempt >= 1 AND epoch >= 1))
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
-- No index holds lease_until or cancel_requested, so a heartbeat is a heap-only update.
CREATE INDEX job_ready ON job_live (lane_id, rank, job_id) WHERE state = 'available';           -- claim_jobs.sql
CREATE INDEX job_due ON job_live (due_at, job_id) WHERE state IN ('scheduled', 'retryable');    -- stage_due_jobs.sql
CREATE INDEX job_held ON job_live (pool, state, group_id) WHERE state IN ('dispatched', 'executing');  -- credits, reaper
CREATE INDEX job_open ON job_live (tenant_id, job_id);                                         -- lists, counts

CREATE TABLE attempt (
  -- One run of a job, written when it ends.
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  job_id uuid NOT NULL,
  number integer NOT NULL,
  epoch bigint NOT NULL,
  worker_id uuid,
  started_at timestamptz NOT NULL,
  finished_at timestamptz NOT NULL,
  outcome text NOT NULL CHECK (
    outcome IN ('completed', 'failed', 'timed-out', 'snoozed', 'cancelled', 'crashed', 'released')),
  error_code text,
  error_id uuid,
  result_id uuid
) PARTITION BY RANGE (id);
CREATE INDEX attempt_of_job ON attempt (tenant_id, job_id, id);  -- the timeline of a job

CREATE TABLE job_tag (
  -- Tags as rows: under row-level security a btree on text is used, a GIN index is not.
  tenant_id uuid NOT NULL,
  job_id uuid NOT NULL,
  name text NOT NULL,
  value text NOT NULL,
  PRIMARY KEY (job_id, name)
) PARTITION BY RANGE (job_id);
CREATE INDEX job_tag_search ON job_tag (tenant_id, name, value, job_id);  -- lists by tag, newest first

-- Unique over all partitions, hence small tables of their own, keyed by hashes under the tenant's index key.
CREATE TABLE unique_claim (
  tenant_id uuid NOT NULL,
  hash bytea NOT NULL CHECK (octet_length(hash) = 32),
  job_id uuid NOT NULL,
  expires_at timestamptz,
  PRIMARY KEY (tenant_id, hash)
);
CREATE TABLE idempotency_key (
  tenant_id uuid NOT NULL,
  hash bytea NOT NULL CHECK (octet_length(hash) = 32),
  fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 32),
  status smallint NOT NULL,
  answer_sealed bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (tenant_id, hash)
);
CREATE INDEX idempotency_key_age ON idempotency_key (created_at);  -- pruning after 24 hours
