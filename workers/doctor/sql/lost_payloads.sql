-- Of the oldest unfinished jobs, those whose payload is gone. Index: job_live, job and blob by their primary keys; LIMIT 1
-- keeps each look a probe of its partition.
SELECT looked.job_id
FROM (SELECT job_id FROM job_live ORDER BY job_id LIMIT %(limit)s) AS looked
CROSS JOIN LATERAL (SELECT payload_id FROM job WHERE job.id = looked.job_id LIMIT 1) AS known
LEFT JOIN LATERAL (SELECT id FROM blob WHERE blob.id = known.payload_id LIMIT 1) AS kept ON true
WHERE kept.id IS NULL
ORDER BY 1
