-- replace: whoever would take the same keys from their holders comes one after the other, in the order of the locks.
-- Held until the commit.
SELECT pg_advisory_xact_lock(key) FROM (SELECT unnest(%(locks)s::bigint[]) AS key ORDER BY 1) AS sorted
