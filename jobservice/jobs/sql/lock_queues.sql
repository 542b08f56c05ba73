-- New queues of one tenant come one after the other, so that their number is right. Held until the commit.
SELECT pg_advisory_xact_lock(hashtextextended('queues ' || %(tenant)s::text, 0))
