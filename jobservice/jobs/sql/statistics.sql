-- What happened, counted by time: see jobservice/jobs/statistics.py, and error_groups.py for errors.

CREATE FUNCTION duration_bucket(duration interval) RETURNS smallint
-- Ten buckets to a power of ten: 0 is under a millisecond, n is from 10^((n-1)/10) to 10^(n/10) milliseconds, and 91 is
-- beyond 10^9, eleven days. As jobservice/jobs/histograms.py reads them.
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN extract(epoch FROM duration) < 0.001 THEN 0::smallint
              ELSE least(91, 1 + floor(10 * log(1000 * extract(epoch FROM duration)::float8)))::smallint END
$$;

CREATE TABLE statistic_delta (
  -- What one transaction did to the counts, written by it; the dispatcher folds it into `statistic` and removes it.
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant_id uuid NOT NULL,
  minute timestamptz NOT NULL,
  queue text NOT NULL,
  type text NOT NULL,
  accepted integer NOT NULL DEFAULT 0,
  completed integer NOT NULL DEFAULT 0,
  discarded integer NOT NULL DEFAULT 0,
  cancelled integer NOT NULL DEFAULT 0,
  retried integer NOT NULL DEFAULT 0,
  -- The bucket of each duration seen; null is none.
  waits smallint[],
  runs smallint[]
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0,
        autovacuum_vacuum_insert_threshold = -1);

CREATE TABLE statistic (
  tenant_id uuid NOT NULL,
  step_seconds integer NOT NULL CHECK (step_seconds IN (60, 3600, 86400)),
  at timestamptz NOT NULL,
  -- An empty one stands for all of them: each count is in four rows, of its queue and type, of its queue, of its type and
  -- of the tenant as a whole, so that whatever is asked for is one row for each moment.
  queue text NOT NULL,
  type text NOT NULL,
  accepted bigint NOT NULL,
  completed bigint NOT NULL,
  discarded bigint NOT NULL,
  cancelled bigint NOT NULL,
  retried bigint NOT NULL,
  -- Each entry is bucket × 2^40 + count, so that only buckets with something in them take room.
  waits bigint[] NOT NULL,
  runs bigint[] NOT NULL,
  PRIMARY KEY (tenant_id, step_seconds, queue, type, at)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX statistic_age ON statistic (step_seconds, at);  -- pruning

CREATE TABLE error_group (
  -- Failed runs with the same fingerprint; `id` is the fingerprint.
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  type text NOT NULL,
  code text NOT NULL,
  -- The text of the first of them; null of errors without one.
  message_sealed bytea,
  state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'resolved', 'ignored')),
  -- Null until somebody or a new run changes it.
  state_changed_at timestamptz,
  -- 0 until the first is folded.
  runs bigint NOT NULL DEFAULT 0,
  first_seen_at timestamptz NOT NULL,
  last_seen_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id)
) WITH (fillfactor = 70);
CREATE INDEX error_group_seen ON error_group (tenant_id, last_seen_at, id);  -- lists, the last seen first
CREATE INDEX error_group_age ON error_group (last_seen_at);                  -- pruning

CREATE TABLE error_delta (
  -- As statistic_delta: failed runs of one group, written by the transaction that ended them.
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant_id uuid NOT NULL,
  group_id uuid NOT NULL,
  type text NOT NULL,
  code text NOT NULL,
  at timestamptz NOT NULL,
  runs integer NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0,
        autovacuum_vacuum_insert_threshold = -1);

CREATE TABLE error_count (
  tenant_id uuid NOT NULL,
  group_id uuid NOT NULL,
  step_seconds integer NOT NULL CHECK (step_seconds IN (60, 3600)),
  at timestamptz NOT NULL,
  runs bigint NOT NULL,
  PRIMARY KEY (tenant_id, group_id, step_seconds, at)
) WITH (fillfactor = 70);
CREATE INDEX error_count_age ON error_count (step_seconds, at);  -- pruning
