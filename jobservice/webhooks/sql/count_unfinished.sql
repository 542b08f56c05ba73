-- Unfinished deliveries by state, and how long the oldest has been due. Indexes: delivery_leased; delivery_due in its own
-- order, delivery_waiting and delivery_held, left at the limit: beyond it the planner's count of that index, which vacuum
-- keeps, is near enough.
WITH waiting AS MATERIALIZED (
  SELECT due_at FROM delivery_live WHERE state = 'pending' ORDER BY due_at, delivery_id LIMIT %(limit)s
), known AS (
  SELECT count(*) AS deliveries, extract(epoch FROM clock_timestamp() - min(due_at))::float8 AS seconds FROM waiting
)
SELECT 'pending' AS state,
       CASE WHEN known.deliveries < %(limit)s THEN known.deliveries
            ELSE greatest(known.deliveries, (SELECT reltuples FROM pg_class WHERE oid = 'delivery_due'::regclass)::bigint)
       END AS deliveries,
       greatest(0, known.seconds) AS seconds
FROM known
UNION ALL
SELECT state, count(*), 0 FROM delivery_live WHERE state IN ('dispatched', 'delivering') GROUP BY state
UNION ALL
SELECT 'waiting', CASE WHEN deliveries < %(limit)s THEN deliveries ELSE greatest(deliveries, (
         SELECT reltuples FROM pg_class WHERE oid = 'delivery_waiting'::regclass)::bigint) END, 0
FROM (SELECT count(*) AS deliveries FROM (SELECT FROM delivery_live WHERE state = 'waiting' LIMIT %(limit)s) AS its) AS its
UNION ALL
SELECT 'held', CASE WHEN deliveries < %(limit)s THEN deliveries ELSE greatest(deliveries, (
         SELECT reltuples FROM pg_class WHERE oid = 'delivery_held'::regclass)::bigint) END, 0
FROM (SELECT count(*) AS deliveries FROM (SELECT FROM delivery_live WHERE state = 'held' LIMIT %(limit)s) AS its) AS its
