-- What a tenant holds, counted from the rows themselves. Its slots are locked, so that nobody counts meanwhile.
-- Indexes: job_open, blob_of_tenant; the length of a sealed value is known without reading it.
SELECT (SELECT count(*) FROM job_live WHERE tenant_id = %(tenant)s) AS open_jobs,
       (SELECT coalesce(sum(octet_length(sealed)), 0)::bigint FROM blob
        WHERE tenant_id = %(tenant)s AND kind = ANY (%(kinds)s::text[])) AS stored_bytes
