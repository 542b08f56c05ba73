-- The newest jobs of a type that are over, but one. Index: job_of_type, from its end and no further than the limit.
SELECT id FROM job
WHERE tenant_id = %(tenant)s AND type = %(type)s AND final_state IS NOT NULL AND id <> %(other_than)s
ORDER BY id DESC LIMIT %(limit)s
