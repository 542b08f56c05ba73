-- change, the fence: the job waits. The row is locked as claim, staging and record lock it, so that a change comes wholly
-- before or after them; a claim skips it, so nobody waits for a change but the next change. Index: primary key.
-- Alone, because a statement that waits for a lock must join no partitioned table: when the row has changed meanwhile,
-- PostgreSQL 18 checks it again with the run-time pruning of the statement under way, and has crashed there.
SELECT job_id FROM job_live
WHERE tenant_id = %(tenant)s AND job_id = %(job)s AND state IN ('scheduled', 'available', 'retryable', 'suspended')
FOR UPDATE
