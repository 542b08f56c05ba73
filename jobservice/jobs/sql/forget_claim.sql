-- erase: the key that an ended job's period still holds. Index: the primary key.
DELETE FROM unique_claim WHERE tenant_id = %(tenant)s AND hash = %(hash)s AND job_id = %(job)s
