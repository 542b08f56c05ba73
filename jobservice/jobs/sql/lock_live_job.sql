-- cancel, retry: the live row of one job, locked as claim, start and record lock it, so that they come wholly before or
-- after. Index: job_live_pkey.
SELECT job_id, state, epoch, attempt, cancel_requested FROM job_live
WHERE tenant_id = %(tenant)s AND job_id = %(job)s
FOR UPDATE
