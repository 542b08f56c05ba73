-- cancel of a run: whoever runs the job is told when it looks next. The row is locked already. Index: job_live_pkey.
UPDATE job_live SET cancel_requested = true
WHERE tenant_id = %(tenant)s AND job_id = %(job)s AND epoch = %(epoch)s AND state = 'executing' AND NOT cancel_requested
RETURNING job_id
