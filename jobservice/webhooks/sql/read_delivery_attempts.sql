-- The latest tries of each of these deliveries, the newest first. Index: delivery_attempt_of_delivery, left at the limit.
SELECT attempt.*
FROM unnest(%(deliveries)s::uuid[]) AS wanted (delivery_id)
CROSS JOIN LATERAL (
  SELECT id, delivery_id, number, at, status, duration_ms, error_class, next_attempt_at, answer_id
  FROM delivery_attempt WHERE tenant_id = %(tenant)s AND delivery_id = wanted.delivery_id
  ORDER BY id DESC LIMIT %(limit)s
) AS attempt
