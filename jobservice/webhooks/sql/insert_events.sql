-- One row per event; the id was made by the caller, so a repeated try of the same group writes the same event. Then a
-- delivery for each endpoint that wants to be told; held while the endpoint takes none. Index: webhook_endpoint_of_tenant.
-- No endpoint is locked: what is held though its endpoint was enabled meanwhile, release_held.sql lets go.
WITH new AS MATERIALIZED (
  SELECT * FROM unnest(
    %(id)s::uuid[], %(tenant_id)s::uuid[], %(job_id)s::uuid[], %(type)s::text[], %(epoch)s::bigint[],
    %(result_id)s::uuid[], %(error_id)s::uuid[], %(metadata_id)s::uuid[], %(job)s::jsonb[], %(details)s::jsonb[])
    AS e (id, tenant_id, job_id, type, epoch, result_id, error_id, metadata_id, job, details)
), stored AS (
  INSERT INTO event (id, tenant_id, job_id, type, epoch, result_id, error_id, metadata_id, job, details)
  SELECT * FROM new
), told AS MATERIALIZED (
  SELECT new_id() AS id, new.tenant_id, new.id AS event_id, new.job_id, endpoint.id AS endpoint_id, endpoint.status
  FROM new CROSS JOIN LATERAL (
    -- Without OFFSET 0 this is a plain join, which may read the endpoints of all tenants.
    SELECT id, events, queues, types, status FROM webhook_endpoint
    WHERE webhook_endpoint.tenant_id = new.tenant_id OFFSET 0
  ) AS endpoint
  WHERE new.type = ANY (%(tellable)s::text[]) AND endpoint.events && ARRAY[new.type, '*']
    -- What is of no job is of no queue and no type.
    AND (new.job IS NULL OR endpoint.queues IS NULL OR new.job ->> 'queue' = ANY (endpoint.queues))
    AND (new.job IS NULL OR endpoint.types IS NULL OR new.job ->> 'type' = ANY (endpoint.types))
), made AS (
  INSERT INTO delivery (id, tenant_id, event_id, job_id, endpoint_id)
  SELECT id, tenant_id, event_id, job_id, endpoint_id FROM told
)
INSERT INTO delivery_live (delivery_id, tenant_id, endpoint_id, state)
SELECT id, tenant_id, endpoint_id, CASE WHEN status = 'enabled' THEN 'pending' ELSE 'held' END FROM told
