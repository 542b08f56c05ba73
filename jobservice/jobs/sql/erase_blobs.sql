-- erase, last: the sealed values of a job that is gone. What a job was submitted with may be another's too and stays
-- with it; what a run made never is. Index: blob by primary key; job_sealed (BRIN) for the others, a column at a time,
-- for no OR would use it. A column is looked through only when there is a value of its kind.
WITH own AS MATERIALIZED (
  SELECT id, kind FROM blob WHERE tenant_id = %(tenant)s AND id = ANY (%(blobs)s::uuid[])
), shared AS MATERIALIZED (
  SELECT payload_id AS id FROM job
  WHERE (SELECT count(*) FROM own WHERE kind = 'payload') > 0
    AND tenant_id = %(tenant)s AND payload_id = ANY (%(blobs)s::uuid[])
  UNION ALL
  SELECT metadata_id FROM job
  WHERE (SELECT count(*) FROM own WHERE kind = 'metadata') > 0
    AND tenant_id = %(tenant)s AND metadata_id = ANY (%(blobs)s::uuid[])
  UNION ALL
  SELECT callback_id FROM job
  WHERE (SELECT count(*) FROM own WHERE kind = 'callback_url') > 0
    AND tenant_id = %(tenant)s AND callback_id = ANY (%(blobs)s::uuid[])
)
DELETE FROM blob b USING own
WHERE b.id = own.id AND b.tenant_id = %(tenant)s AND b.id NOT IN (SELECT id FROM shared)
RETURNING b.id, b.kind, octet_length(b.sealed) AS sealed_bytes
