-- Of the newest deliveries: those neither over nor live; of the oldest live ones: those that are over, or of none.
-- Index: primary keys.
-- A tenant that is being erased loses its rows table by table, which is no fault.
WITH judged AS (
  SELECT looked.id, 'lost' AS fault
  FROM (SELECT id, tenant_id, final_state FROM delivery ORDER BY id DESC LIMIT %(limit)s) AS looked
  WHERE looked.final_state IS NULL AND NOT EXISTS (SELECT FROM delivery_live WHERE delivery_id = looked.id)
    AND NOT EXISTS (SELECT FROM tenant WHERE tenant.id = looked.tenant_id AND tenant.status = 'erased')
  UNION ALL
  SELECT looked.delivery_id, CASE WHEN known.id IS NULL THEN 'unknown' ELSE 'over' END
  FROM (SELECT delivery_id FROM delivery_live ORDER BY delivery_id LIMIT %(limit)s) AS looked
  LEFT JOIN LATERAL (
    SELECT id, final_state FROM delivery WHERE delivery.id = looked.delivery_id LIMIT 1
  ) AS known ON true
  WHERE known.id IS NULL OR known.final_state IS NOT NULL
)
SELECT fault, count(*)::integer AS count, (array_agg(id ORDER BY id))[1] AS example
FROM judged GROUP BY fault ORDER BY fault
