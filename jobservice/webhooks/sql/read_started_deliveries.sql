-- What the requests of the deliveries just started in this transaction are made of. Index: the primary keys. A result too
-- large for the body stays where it is: its length is known without reading it.
-- LATERAL with a LIMIT, and no plain join: each row is one probe by its id, whatever the planner knows (read_started_jobs).
SELECT s.tenant_id, s.delivery_id, s.epoch, s.attempt, s.attempt - s.earlier_attempts AS tries, d.event_id, d.job_id,
       e.type, e.at, e.job, e.details, seq.number AS seq, j.traceparent,
       d.callback_id, callback.sealed AS callback_sealed,
       d.endpoint_id, endpoint.url_sealed, endpoint.headers_sealed, endpoint.scheme, endpoint.has_own_secret,
       e.result_id, result.epoch AS result_epoch,
       CASE WHEN octet_length(result.sealed) <= %(result_limit)s THEN result.sealed END AS result_sealed,
       e.error_id, error.epoch AS error_epoch, error.sealed AS error_sealed,
       e.metadata_id, metadata.sealed AS metadata_sealed
FROM unnest(%(tenants)s::uuid[], %(deliveries)s::uuid[]) AS started (tenant_id, delivery_id)
CROSS JOIN LATERAL (
  SELECT * FROM delivery_live WHERE delivery_id = started.delivery_id AND tenant_id = started.tenant_id LIMIT 1
) AS s
CROSS JOIN LATERAL (SELECT * FROM delivery WHERE id = s.delivery_id AND tenant_id = s.tenant_id LIMIT 1) AS d
CROSS JOIN LATERAL (SELECT * FROM event WHERE id = d.event_id AND tenant_id = s.tenant_id LIMIT 1) AS e
LEFT JOIN LATERAL (SELECT traceparent FROM job WHERE id = d.job_id AND tenant_id = s.tenant_id LIMIT 1) AS j ON true
CROSS JOIN LATERAL (
  -- Which of the job's events it is: they are few.
  SELECT count(*) AS number FROM event AS earlier
  WHERE earlier.tenant_id = s.tenant_id AND earlier.job_id = d.job_id AND earlier.id <= e.id
) AS seq
LEFT JOIN LATERAL (
  SELECT * FROM webhook_endpoint WHERE id = d.endpoint_id AND tenant_id = s.tenant_id LIMIT 1
) AS endpoint ON true
LEFT JOIN LATERAL (SELECT * FROM blob WHERE id = d.callback_id AND tenant_id = s.tenant_id LIMIT 1) AS callback ON true
LEFT JOIN LATERAL (SELECT * FROM blob WHERE id = e.result_id AND tenant_id = s.tenant_id LIMIT 1) AS result ON true
LEFT JOIN LATERAL (SELECT * FROM blob WHERE id = e.error_id AND tenant_id = s.tenant_id LIMIT 1) AS error ON true
LEFT JOIN LATERAL (SELECT * FROM blob WHERE id = e.metadata_id AND tenant_id = s.tenant_id LIMIT 1) AS metadata ON true
