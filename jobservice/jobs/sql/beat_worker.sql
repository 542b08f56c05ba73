UPDATE worker
SET seen_at = clock_timestamp(), slots = %(slots)s, jobs_per_slot = %(jobs_per_slot)s,
    run_times = %(run_times)s::jsonb, is_draining = %(is_draining)s, busy_slots = %(busy_slots)s
WHERE id = %(id)s
RETURNING id
