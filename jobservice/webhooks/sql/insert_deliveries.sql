-- A delivery and its live row, due at once.
WITH new AS MATERIALIZED (
  SELECT * FROM unnest(
    %(id)s::uuid[], %(tenant_id)s::uuid[], %(event_id)s::uuid[], %(job_id)s::uuid[], %(callback_id)s::uuid[]
  ) AS d (id, tenant_id, event_id, job_id, callback_id)
), made AS (
  INSERT INTO delivery (id, tenant_id, event_id, job_id, callback_id)
  SELECT id, tenant_id, event_id, job_id, callback_id FROM new
)
INSERT INTO delivery_live (delivery_id, tenant_id) SELECT id, tenant_id FROM new
