-- disable: the endpoint of this version of the type is gone. A type that was written again meanwhile is another one.
-- Index: the unique constraint of job_type.
UPDATE job_type SET disabled_at = clock_timestamp(), disabled_reason = %(reason)s
WHERE tenant_id = %(tenant)s AND name = %(name)s AND version = %(version)s AND disabled_at IS NULL
RETURNING name
