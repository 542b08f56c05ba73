-- erase, last: the sealed values of a job that is gone. What a job was submitted with may be another's too and stays
-- with it; what a run made never is. Index: blob by primary key, job_sealed (BRIN) for the others.
DELETE FROM blob b
WHERE b.tenant_id = %(tenant)s AND b.id = ANY (%(blobs)s::uuid[])
  AND NOT (b.kind IN ('payload', 'metadata', 'callback_url') AND EXISTS (
    SELECT FROM job j
    WHERE j.tenant_id = b.tenant_id AND (j.payload_id = b.id OR j.metadata_id = b.id OR j.callback_id = b.id)
  ))
RETURNING b.id
