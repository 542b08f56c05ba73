-- extend: the endpoint is at work on this run and will complete it itself, so from now on its lease is the endpoint's and
-- never shorter than the attempt. The row is locked already. Index: job_live_pkey.
UPDATE job_live
SET is_async = true,
    lease_until = greatest(
      CASE WHEN is_async THEN lease_until ELSE started_at + make_interval(secs => %(timeout_seconds)s) END,
      clock_timestamp() + make_interval(secs => %(seconds)s))
WHERE tenant_id = %(tenant)s AND job_id = %(job)s AND epoch = %(epoch)s AND state = 'executing'
RETURNING lease_until, cancel_requested
