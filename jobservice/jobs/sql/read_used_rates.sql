-- How many starts of a queue's burst are used up now, as the claim counts them (read_turns.sql): those that are not given
-- back by time yet. No row in queue_rate: the bucket is full. Indexes: the unique constraint of queue, queue_rate_pkey.
SELECT queue.name AS queue,
       least(rate.burst, greatest(0, ceil(
         extract(epoch FROM coalesce(bucket.full_at, clock_timestamp()) - clock_timestamp()) / rate.interval_seconds
       )))::integer AS used
FROM queue
CROSS JOIN LATERAL (
  SELECT (queue.rate ->> 'period_seconds')::float8 / (queue.rate ->> 'limit')::float8 AS interval_seconds,
         (queue.rate ->> 'burst')::float8 AS burst
) AS rate
LEFT JOIN queue_rate AS bucket ON bucket.tenant_id = queue.tenant_id AND bucket.queue = queue.name
WHERE queue.tenant_id = %(tenant)s AND queue.name = ANY (%(queues)s::text[]) AND queue.rate IS NOT NULL
