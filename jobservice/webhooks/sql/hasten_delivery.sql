-- retry: a delivery that waits for its next try is due now; it is pending once the dispatcher has looked. One that has been
-- due keeps its place. Its row is locked. Index: the primary key.
UPDATE delivery_live SET due_at = least(due_at, clock_timestamp())
WHERE tenant_id = %(tenant)s AND delivery_id = %(delivery)s
