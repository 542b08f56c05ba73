-- Unfinished deliveries by state, and how long the oldest has been due. Indexes: delivery_held; delivery_due in its own
-- order, left at the limit: beyond it the planner's count of that index, which vacuum keeps, is near enough.
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
SELECT state, count(*), 0 FROM delivery_live WHERE state <> 'pending' GROUP BY state
