-- report, the fence: the run that reports is still held. `worker` null: by whomever. Index: job_live_pkey.
SELECT l.progress_percent, l.progress_id, l.log_id FROM job_live l
WHERE l.tenant_id = %(tenant)s AND l.job_id = %(job)s AND l.epoch = %(epoch)s AND l.state = 'executing'
  AND (%(worker)s::uuid IS NULL OR l.worker_id = %(worker)s::uuid)
FOR UPDATE
