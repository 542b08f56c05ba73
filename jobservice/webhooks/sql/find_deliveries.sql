-- The deliveries of a job, ended or not. Index: delivery_of_job.
SELECT id FROM delivery WHERE tenant_id = %(tenant)s AND job_id = %(job)s
