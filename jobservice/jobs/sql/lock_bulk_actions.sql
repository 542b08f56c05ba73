-- New bulk actions of one tenant come one after the other, so that their number is right. Held until the commit.
SELECT pg_advisory_xact_lock(hashtextextended('bulk actions ' || %(tenant)s::text, 0))
