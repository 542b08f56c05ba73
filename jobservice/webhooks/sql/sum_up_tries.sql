-- How the latest tries to each of these endpoints went, of deliveries made since a moment. Index: delivery_of_endpoint, walked
-- backwards over so many deliveries and no further: an endpoint costs the same however many it has had; then
-- delivery_attempt_of_delivery, the latest tries of each.
SELECT wanted.endpoint_id, count(*) AS tries, count(*) FILTER (WHERE attempt.is_taken) AS taken,
       percentile_disc(0.95) WITHIN GROUP (ORDER BY attempt.duration_ms) AS p95_ms,
       max(attempt.at) FILTER (WHERE NOT attempt.is_taken) AS last_failure_at
FROM unnest(%(endpoints)s::uuid[]) AS wanted (endpoint_id)
CROSS JOIN LATERAL (
  SELECT id FROM delivery
  WHERE tenant_id = %(tenant)s AND endpoint_id = wanted.endpoint_id AND id >= uuid7_at(%(since)s)
  ORDER BY id DESC LIMIT %(window)s
) AS latest
CROSS JOIN LATERAL (
  SELECT at, duration_ms, coalesce(status BETWEEN 200 AND 299, false) AS is_taken FROM delivery_attempt
  WHERE tenant_id = %(tenant)s AND delivery_id = latest.id ORDER BY id DESC LIMIT %(limit)s
) AS attempt
GROUP BY wanted.endpoint_id
