-- retry, first: one retry of a delivery at a time, so that the second sees what the first has done, and no epoch is given
-- out twice. Taken by retries alone, and before every lock of a row.
SELECT pg_advisory_xact_lock(hashtextextended('delivery ' || %(delivery)s::uuid::text, 0))
