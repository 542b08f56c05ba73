-- Whoever makes an endpoint of this tenant waits for the others until they commit, so that two do not both take the last
-- place of the quota.
SELECT pg_advisory_xact_lock(hashtextextended('webhook_endpoint ' || %(tenant)s::uuid::text, 0))
