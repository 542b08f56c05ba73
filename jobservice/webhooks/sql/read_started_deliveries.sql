-- What the requests of the deliveries just started in this transaction are made of. Index: the primary keys. A result too
-- large for the body stays where it is: its length is known without reading it.
SELECT s.tenant_id, s.delivery_id, s.epoch, s.attempt, d.event_id, d.job_id, e.type, e.at, e.job, j.traceparent,
       d.callback_id, callback.sealed AS callback_sealed,
       e.result_id, result.epoch AS result_epoch,
       CASE WHEN octet_length(result.sealed) <= %(result_limit)s THEN result.sealed END AS result_sealed,
       e.error_id, error.epoch AS error_epoch, error.sealed AS error_sealed,
       e.metadata_id, metadata.sealed AS metadata_sealed
FROM unnest(%(tenants)s::uuid[], %(deliveries)s::uuid[]) AS started (tenant_id, delivery_id)
JOIN delivery_live s USING (tenant_id, delivery_id)
JOIN delivery d ON d.id = s.delivery_id AND d.tenant_id = s.tenant_id
JOIN event e ON e.id = d.event_id AND e.tenant_id = s.tenant_id
LEFT JOIN job j ON j.id = d.job_id AND j.tenant_id = s.tenant_id
LEFT JOIN blob callback ON callback.id = d.callback_id AND callback.tenant_id = s.tenant_id
LEFT JOIN blob result ON result.id = e.result_id AND result.tenant_id = s.tenant_id
LEFT JOIN blob error ON error.id = e.error_id AND error.tenant_id = s.tenant_id
LEFT JOIN blob metadata ON metadata.id = e.metadata_id AND metadata.tenant_id = s.tenant_id
