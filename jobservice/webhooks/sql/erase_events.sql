-- erase: all that was told of a job, and of the telling. Answers the sealed values these rows referred to.
-- Index: event_of_job, delivery_of_job, delivery_attempt_of_job.
WITH tried AS (
  DELETE FROM delivery_attempt WHERE tenant_id = %(tenant)s AND job_id = %(job)s RETURNING answer_id
), sent AS (
  DELETE FROM delivery WHERE tenant_id = %(tenant)s AND job_id = %(job)s RETURNING callback_id
), told AS (
  DELETE FROM event WHERE tenant_id = %(tenant)s AND job_id = %(job)s RETURNING result_id, error_id, metadata_id
)
SELECT callback_id AS blob_id FROM sent WHERE callback_id IS NOT NULL
UNION
SELECT answer_id FROM tried WHERE answer_id IS NOT NULL
UNION
SELECT blob_id FROM told, unnest(ARRAY[result_id, error_id, metadata_id]) AS blob_id WHERE blob_id IS NOT NULL
