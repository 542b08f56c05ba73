-- One row per event; the id was made by the caller, so a repeated try of the same group writes the same event.
INSERT INTO event (id, tenant_id, job_id, type, epoch, result_id, error_id, metadata_id, job, details)
SELECT * FROM unnest(
  %(id)s::uuid[], %(tenant_id)s::uuid[], %(job_id)s::uuid[], %(type)s::text[], %(epoch)s::bigint[],
  %(result_id)s::uuid[], %(error_id)s::uuid[], %(metadata_id)s::uuid[], %(job)s::jsonb[], %(details)s::jsonb[])
