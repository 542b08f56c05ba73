-- retry: a delivery that is over is open again. It alone, with nothing joined: see lock_delivering.sql.
-- Index: the primary key.
UPDATE delivery SET final_state = NULL, finished_at = NULL
WHERE tenant_id = %(tenant)s AND id = %(delivery)s AND final_state IS NOT NULL
RETURNING epoch, attempts
