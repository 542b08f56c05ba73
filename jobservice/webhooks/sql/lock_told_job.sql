-- retry: the job that is told of is not erased meanwhile, nor waits it for anything else (erase: lock_ended_job.sql).
-- Index: the primary key.
SELECT id FROM job WHERE tenant_id = %(tenant)s AND id = %(job)s FOR KEY SHARE
