-- record: runs that failed and whose jobs go on, and how long they took. Added, never updated (statistics.py).
INSERT INTO statistic_delta (tenant_id, minute, queue, type, retried, runs)
SELECT tenant_id, date_trunc('minute', finished_at), queue, type, count(*),
       array_agg(duration_bucket(finished_at - started_at))
FROM unnest(%(tenants)s::uuid[], %(queues)s::text[], %(types)s::text[], %(started)s::timestamptz[],
            %(finished)s::timestamptz[]) AS run (tenant_id, queue, type, started_at, finished_at)
GROUP BY tenant_id, date_trunc('minute', finished_at), queue, type
