-- Lend the asking process a block of the tenant's requests: an eighth of those left, within %(smallest)s and
-- %(largest)s, or nothing when less than one is left. Rate in requests a second.
-- Index: request_bucket_pkey. One autocommit statement, so that the row is locked for microseconds; the tenant of
-- row-level security is set by the statement itself, before the insert that it feeds asks for it.
WITH asked AS MATERIALIZED (
  SELECT set_config('app.tenant', %(tenant)s::text, true)::uuid AS tenant_id,
         clock_timestamp() AS now, least(%(largest)s::int, floor(%(burst)s::float8)::int) AS lent
)
INSERT INTO request_bucket AS bucket (tenant_id, lent_until, lent_from, lent, left_over)
SELECT tenant_id, now + make_interval(secs => lent / %(rate)s::float8), now, lent, %(burst)s::float8 - lent FROM asked
ON CONFLICT (tenant_id) DO UPDATE SET (lent_until, lent_from, lent, left_over) = (
  SELECT block.start + make_interval(secs => block.lent / %(rate)s::float8), block.start, block.lent,
         block.available - block.lent
  FROM (
    SELECT stock.start, stock.available,
           least(
             floor(stock.available),
             greatest(%(smallest)s::int, least(%(largest)s::int, floor(stock.available / 8)))
           )::int AS lent
    FROM (
      SELECT refill.start,
             greatest(
               0, %(burst)s::float8 - extract(epoch FROM refill.start - refill.now)::float8 * %(rate)s::float8
             ) AS available
      FROM (
        -- Never more than a burst ahead, whatever the clock or the rate was before.
        SELECT clock.now,
               least(
                 greatest(bucket.lent_until, clock.now),
                 clock.now + make_interval(secs => %(burst)s::float8 / %(rate)s::float8)
               ) AS start
        FROM (SELECT clock_timestamp() AS now) AS clock
      ) AS refill
    ) AS stock
  ) AS block
)
RETURNING bucket.lent, bucket.left_over,
          greatest(0, extract(epoch FROM bucket.lent_from - clock_timestamp()))::float8 AS begins_in_seconds;
