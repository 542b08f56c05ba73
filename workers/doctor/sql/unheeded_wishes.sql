-- What should have ended by now: jobs that did not start by their deadline, and runs that were asked to stop long ago.
-- Index: job_start_deadline; job_held for what runs, event_of_job for when it was asked.
SELECT 'deadline' AS kind, count(*)::integer AS count, (array_agg(job_id ORDER BY start_deadline_at))[1] AS example,
       extract(epoch FROM max(clock_timestamp() - start_deadline_at))::float8 AS seconds
FROM job_live
WHERE start_deadline_at < clock_timestamp() - make_interval(secs => %(deadline_grace_seconds)s)
  AND first_started_at IS NULL AND state IN ('scheduled', 'available', 'dispatched')
UNION ALL
SELECT 'cancel', count(*)::integer, (array_agg(running.job_id ORDER BY asked.at))[1],
       extract(epoch FROM max(clock_timestamp() - asked.at))::float8
FROM job_live AS running
CROSS JOIN LATERAL (
  SELECT max(event.at) AS at FROM event
  WHERE event.tenant_id = running.tenant_id AND event.job_id = running.job_id AND event.type = 'job.cancel_requested'
) AS asked
-- Who completes a job later is told when it asks, and its lease ends the wait.
WHERE running.state = 'executing' AND running.cancel_requested AND NOT running.is_async
  AND asked.at < clock_timestamp() - make_interval(secs => %(cancel_grace_seconds)s)
