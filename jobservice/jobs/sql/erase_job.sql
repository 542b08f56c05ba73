-- erase: the job, its attempts and its tags. Answers the sealed values these rows referred to.
-- Index: primary keys, attempt_of_job. The row is locked already; guarded once more, of all that goes, on the job's end.
WITH gone AS (
  DELETE FROM job WHERE tenant_id = %(tenant)s AND id = %(job)s AND final_state IS NOT NULL
  RETURNING id, tenant_id, payload_id, metadata_id, callback_id, result_id, error_id
), tried AS (
  DELETE FROM attempt a USING gone WHERE a.tenant_id = gone.tenant_id AND a.job_id = gone.id
  RETURNING a.error_id, a.result_id, a.progress_id, a.log_id
), untagged AS (
  DELETE FROM job_tag t USING gone WHERE t.tenant_id = gone.tenant_id AND t.job_id = gone.id
)
SELECT blob_id FROM gone, unnest(ARRAY[payload_id, metadata_id, callback_id, result_id, error_id]) AS blob_id
WHERE blob_id IS NOT NULL
UNION
SELECT blob_id FROM tried, unnest(ARRAY[error_id, result_id, progress_id, log_id]) AS blob_id WHERE blob_id IS NOT NULL
