-- What a tenant has of what is counted from rows. Indexes: job_slots, and the unique constraints and indexes of queue,
-- job_type and api_key that begin with the tenant; each has few rows of one tenant.
SELECT (SELECT count(*) FROM job_live
        WHERE tenant_id = %(tenant)s AND state IN ('dispatched', 'executing'))::integer AS running,
       (SELECT count(*) FROM queue WHERE tenant_id = %(tenant)s)::integer AS queues,
       (SELECT count(*) FROM job_type WHERE tenant_id = %(tenant)s)::integer AS job_types
