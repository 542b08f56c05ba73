-- One claim of deliveries at a time, so that each counts the slots that the last one took. Given back by the commit.
SELECT pg_try_advisory_xact_lock(hashtext('claim_deliveries')) AS is_held
