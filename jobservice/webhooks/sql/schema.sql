-- What happened to a job, and who is told about it.

CREATE TABLE event (
  -- Written in the transaction that makes it true. Its id is the `webhook-id` of every try of every delivery.
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  job_id uuid NOT NULL,
  version smallint NOT NULL DEFAULT 1,
  type text NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- The job as the API shows it without `include`: nothing sealed. Sealed parts are referred to.
  job jsonb NOT NULL,
  epoch bigint NOT NULL,
  result_id uuid,
  error_id uuid,
  metadata_id uuid
) PARTITION BY RANGE (id);
CREATE INDEX event_of_job ON event (tenant_id, job_id, id);  -- the timeline of a job

CREATE TABLE delivery (
  -- One event on its way to one receiver. Written twice: when made and when it ends.
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  event_id uuid NOT NULL,
  job_id uuid NOT NULL,
  callback_id uuid NOT NULL,  -- the sealed URL
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  final_state text CHECK (final_state IN ('delivered', 'failed')),
  finished_at timestamptz,
  CHECK ((final_state IS NULL) = (finished_at IS NULL))
) PARTITION BY RANGE (id);
CREATE INDEX delivery_of_job ON delivery (tenant_id, job_id, id);  -- the timeline of a job

CREATE TABLE delivery_live (
  -- Everything of an unfinished delivery that changes; the row is deleted in the transaction that ends it.
  delivery_id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'dispatched', 'delivering')),
  due_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  epoch bigint NOT NULL DEFAULT 0,
  attempt integer NOT NULL DEFAULT 0,
  lease_until timestamptz,
  worker_id uuid,
  CHECK ((state = 'pending') = (lease_until IS NULL)),
  CHECK ((state = 'delivering') = (worker_id IS NOT NULL))
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX delivery_due ON delivery_live (due_at, delivery_id) WHERE state = 'pending';  -- the claim
CREATE INDEX delivery_held ON delivery_live (state) WHERE state <> 'pending';  -- the reaper, and the count of slots in use

CREATE TABLE delivery_attempt (
  -- One try and its answer; `error_class` is coarse and holds no address.
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  delivery_id uuid NOT NULL,
  event_id uuid NOT NULL,
  job_id uuid NOT NULL,
  number integer NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  duration_ms integer NOT NULL,
  status smallint,
  error_class text,
  next_attempt_at timestamptz
) PARTITION BY RANGE (id);
CREATE INDEX delivery_attempt_of_job ON delivery_attempt (tenant_id, job_id, id);  -- the timeline of a job
