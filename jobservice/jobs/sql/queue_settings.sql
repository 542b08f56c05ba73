-- What the settings of a queue may be, and the index that its live numbers are counted by.

ALTER TABLE queue
  ADD CONSTRAINT queue_concurrency CHECK (concurrency <= 100000),
  ADD CONSTRAINT queue_key_concurrency CHECK (key_concurrency <= 100000),
  ADD CONSTRAINT queue_retention CHECK (retention_days <= 3650),
  -- {"limit", "period_seconds", "burst"}, all of them. (A check whose value is null passes: hence coalesce.)
  ADD CONSTRAINT queue_rate CHECK (rate IS NULL OR coalesce(
    (rate ->> 'limit')::numeric BETWEEN 1 AND 1000000
    AND (rate ->> 'period_seconds')::numeric BETWEEN 1 AND 86400
    AND (rate ->> 'burst')::numeric BETWEEN 1 AND 1000000, false));

-- count_queues.sql. Only jobs that are put off are in it, so a job that is due from its accept on costs it nothing.
CREATE INDEX job_put_off ON job_live (lane_id, state, due_at) WHERE state IN ('scheduled', 'retryable', 'suspended');
