-- The jobs that were made from one, the newest first. They are younger than it, but for what the clocks of two processes
-- differ: the bound leaves out older partitions. Index: job_followers.
SELECT id FROM job
WHERE tenant_id = %(tenant)s AND retry_of = %(job)s AND id >= uuid7_at(%(not_before)s)
ORDER BY id DESC LIMIT %(limit)s
