-- A series: counts by step. Index: statistic_pkey, all of it: one row for each queue named and each moment.
SELECT date_bin(make_interval(secs => %(step)s), at, 'epoch') AS at,
       sum(accepted)::bigint AS accepted, sum(completed)::bigint AS completed, sum(discarded)::bigint AS discarded,
       sum(cancelled)::bigint AS cancelled, sum(retried)::bigint AS retried
FROM statistic
WHERE tenant_id = %(tenant)s AND step_seconds = %(base)s AND at >= %(since)s AND at < %(until)s
    AND queue = ANY (%(queues)s::text[]) AND type = %(type)s
GROUP BY 1
