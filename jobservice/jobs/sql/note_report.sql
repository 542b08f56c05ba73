-- report: how far the run is, and where its message and its log are. The row is locked already; guarded once more.
-- No index holds these columns, so this is a heap-only update. Index: job_live_pkey.
UPDATE job_live l
SET progress_percent = %(percent)s::real, progress_id = %(progress)s::uuid, log_id = %(log)s::uuid
WHERE l.tenant_id = %(tenant)s AND l.job_id = %(job)s AND l.epoch = %(epoch)s AND l.state = 'executing'
  AND (%(worker)s::uuid IS NULL OR l.worker_id = %(worker)s::uuid)
RETURNING l.job_id
