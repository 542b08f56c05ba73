-- replace: the live rows of the holders, locked as claim, start and record lock them and in id order, as every grouped
-- write does: what they hold cannot change meanwhile. Index: job_live_pkey.
SELECT job_id, state, epoch FROM job_live
WHERE tenant_id = %(tenant)s AND job_id = ANY (%(jobs)s::uuid[])
ORDER BY job_id FOR UPDATE
