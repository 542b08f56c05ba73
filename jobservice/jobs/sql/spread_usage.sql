-- Write all slots of a tenant anew; they are locked. Index: tenant_usage_pkey.
UPDATE tenant_usage AS mine
SET open_jobs = part.open_jobs, stored_bytes = part.stored_bytes, day = %(day)s, jobs_of_day = part.jobs_of_day
FROM unnest(%(slots)s::smallint[], %(open_jobs)s::bigint[], %(stored_bytes)s::bigint[], %(jobs_of_day)s::bigint[])
  AS part (slot, open_jobs, stored_bytes, jobs_of_day)
WHERE mine.tenant_id = %(tenant)s AND mine.slot = part.slot
