-- Some deliveries to an endpoint as list_deliveries.sql shows them, the newest first. Index: the primary keys.
SELECT d.id, d.event_id, event.type, event.at, d.job_id, d.endpoint_id, shown.state,
       coalesce(live.attempt, d.attempts, 0) AS attempt,
       CASE WHEN shown.state = 'pending' THEN live.due_at END AS next_attempt_at, d.created_at, d.finished_at
FROM unnest(%(deliveries)s::uuid[]) AS wanted (id)
CROSS JOIN LATERAL (
  SELECT * FROM delivery WHERE id = wanted.id AND tenant_id = %(tenant)s AND endpoint_id = %(endpoint)s LIMIT 1
) AS d
CROSS JOIN LATERAL (SELECT * FROM event WHERE id = d.event_id AND tenant_id = %(tenant)s LIMIT 1) AS event
LEFT JOIN LATERAL (SELECT * FROM delivery_live WHERE delivery_id = d.id AND tenant_id = %(tenant)s LIMIT 1) AS live ON true
CROSS JOIN LATERAL (
  SELECT coalesce(d.final_state, CASE WHEN live.state IN ('delivering', 'held') THEN live.state ELSE 'pending' END) AS state
) AS shown
ORDER BY d.id DESC
