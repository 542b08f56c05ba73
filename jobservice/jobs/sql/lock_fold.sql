-- Whether this transaction may fold; nobody waits. Another dispatcher that folds does the same work.
SELECT pg_try_advisory_xact_lock(hashtext('fold_statistics')) AS is_mine
