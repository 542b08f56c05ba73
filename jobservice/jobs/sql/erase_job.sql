-- erase: the job, its attempts, its tags and its unique key. Answers the sealed values these rows referred to.
-- Index: primary keys, attempt_of_job. The row is locked already.
WITH gone AS (
  DELETE FROM job WHERE tenant_id = %(tenant)s AND id = %(job)s AND final_state IS NOT NULL
  RETURNING id, tenant_id, unique_hash, payload_id, metadata_id, callback_id, result_id, error_id
), tried AS (
  DELETE FROM attempt WHERE tenant_id = %(tenant)s AND job_id = %(job)s RETURNING error_id, result_id
), untagged AS (
  DELETE FROM job_tag WHERE tenant_id = %(tenant)s AND job_id = %(job)s
), freed AS (
  DELETE FROM unique_claim u USING gone
  WHERE u.tenant_id = gone.tenant_id AND u.hash = gone.unique_hash AND u.job_id = gone.id
)
SELECT blob_id FROM gone, unnest(ARRAY[payload_id, metadata_id, callback_id, result_id, error_id]) AS blob_id
WHERE blob_id IS NOT NULL
UNION
SELECT blob_id FROM tried, unnest(ARRAY[error_id, result_id]) AS blob_id WHERE blob_id IS NOT NULL
