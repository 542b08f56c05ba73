-- start: a dispatched job of the named epoch begins to run under this worker's lease. Rows are locked in id order, as
-- every grouped write does. Index: job_live_pkey.
-- Nothing is joined here: no statement that may wait for a row's lock reads partitions too. When PostgreSQL 18 looks at
-- such a row again after the wait, it shares the pruning state of the whole statement, and has crashed in it.
WITH ref AS MATERIALIZED (
  SELECT * FROM unnest(%(tenants)s::uuid[], %(jobs)s::uuid[], %(epochs)s::bigint[]) AS r (tenant_id, job_id, epoch)
), held AS MATERIALIZED (
  SELECT l.job_id FROM job_live l JOIN ref USING (tenant_id, job_id, epoch)
  WHERE l.state = 'dispatched'
    -- What was not started in time is left for its expiry.
    AND (l.start_deadline_at IS NULL OR l.first_started_at IS NOT NULL OR l.start_deadline_at > clock_timestamp())
  ORDER BY l.job_id FOR UPDATE OF l
)
UPDATE job_live l
SET state = 'executing', attempt = l.attempt + 1, worker_id = %(worker)s, group_id = %(group)s,
    started_at = statement_timestamp(), first_started_at = coalesce(l.first_started_at, statement_timestamp()),
    lease_until = clock_timestamp() + make_interval(secs => %(lease_seconds)s)
FROM held WHERE l.job_id = held.job_id
RETURNING l.tenant_id, l.job_id
