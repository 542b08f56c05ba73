-- New job types of one tenant come one after the other, so that their number is right. Held until the commit.
SELECT pg_advisory_xact_lock(hashtextextended('job_types ' || %(tenant)s::text, 0))
