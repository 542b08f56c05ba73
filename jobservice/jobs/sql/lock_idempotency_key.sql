-- Whoever comes second does not wait: it is told that the first is still at work.
SELECT pg_try_advisory_xact_lock(%(lock)s) AS is_ours
