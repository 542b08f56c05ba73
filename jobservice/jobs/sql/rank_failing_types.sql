-- The types with the most discarded jobs in a time. Index: statistic_pkey: the rows of each type of all queues.
SELECT type, sum(accepted)::bigint AS accepted, sum(completed)::bigint AS completed, sum(discarded)::bigint AS discarded,
       sum(cancelled)::bigint AS cancelled, sum(retried)::bigint AS retried
FROM statistic
WHERE tenant_id = %(tenant)s AND step_seconds = %(base)s AND at >= %(since)s AND at < %(until)s AND queue = '' AND type <> ''
GROUP BY type HAVING sum(discarded) > 0
ORDER BY sum(discarded) DESC, type LIMIT %(limit)s
