-- The deliveries to an endpoint between two of them, the newest first. Index: delivery_of_endpoint, walked backwards over a
-- window of rows and no further, whatever is asked for: so a page costs the same however many the endpoint has had. Of the
-- window the wanted ones, and its last row even if nobody wants it: from there the next page goes on.
-- LATERAL with a LIMIT, and no plain join: each row is one probe by its id, whatever the planner knows (read_started_jobs).
-- Rows are read as they are asked for: without a filter no more than the page.
SELECT seen.id, seen.event_id, event.type, event.at, seen.job_id, shown.state,
       coalesce(live.attempt, seen.attempts, 0) AS attempt,
       CASE WHEN shown.state = 'pending' THEN live.due_at END AS next_attempt_at, seen.created_at, seen.finished_at,
       shown.is_wanted, seen.place = %(window)s AS is_last_of_window
FROM (
  SELECT latest.*, row_number() OVER () AS place
  FROM (
    SELECT * FROM delivery
    WHERE tenant_id = %(tenant)s AND endpoint_id = %(endpoint)s AND id < %(before)s AND id > %(after)s
    ORDER BY id DESC LIMIT %(window)s
  ) AS latest
) AS seen
CROSS JOIN LATERAL (SELECT * FROM event WHERE id = seen.event_id AND tenant_id = %(tenant)s LIMIT 1) AS event
LEFT JOIN LATERAL (
  SELECT * FROM delivery_live WHERE delivery_id = seen.id AND tenant_id = %(tenant)s LIMIT 1
) AS live ON true
-- To everyone else one that waits for its next try is pending, and one that the dispatcher has just claimed, too.
CROSS JOIN LATERAL (
  SELECT coalesce(seen.final_state, CASE WHEN live.state IN ('delivering', 'held') THEN live.state ELSE 'pending' END) AS state
) AS told
CROSS JOIN LATERAL (
  SELECT told.state, (%(state)s::text IS NULL OR told.state = %(state)s::text)
                     AND (%(type)s::text IS NULL OR event.type = %(type)s::text) AS is_wanted
) AS shown
WHERE shown.is_wanted OR seen.place = %(window)s
ORDER BY seen.id DESC LIMIT %(limit)s
