-- erase, the fence: the job is over, and whoever would make it run again waits. Index: primary key.
SELECT id, unique_hash FROM job WHERE tenant_id = %(tenant)s AND id = %(job)s AND final_state IS NOT NULL FOR UPDATE
