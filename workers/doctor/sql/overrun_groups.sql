-- Groups that have run for longer than all their jobs may together. Index: job_held, job by its primary key.
SELECT running.worker_id, (array_agg(running.job_id ORDER BY running.job_id))[1] AS example,
       extract(epoch FROM max(clock_timestamp() - running.started_at))::float8 AS seconds
FROM job_live AS running
CROSS JOIN LATERAL (SELECT timeout_seconds FROM job WHERE job.id = running.job_id LIMIT 1) AS known
WHERE running.state = 'executing' AND NOT running.is_async
GROUP BY running.worker_id, running.group_id
HAVING max(clock_timestamp() - running.started_at)
       > make_interval(secs => sum(known.timeout_seconds) + %(grace_seconds)s)
ORDER BY seconds DESC
