-- accept and retry, last: count what is new in one slot of the tenant's, if there is room in it; see tenant_usage.sql.
-- One row, no more: whoever waits for it waits for one commit.
SELECT take_room(
  %(tenant)s, %(slot)s::smallint, %(open_jobs)s::bigint, %(stored_bytes)s::bigint, %(jobs_of_day)s::bigint,
  %(max_open_jobs)s::bigint, %(max_stored_bytes)s::bigint, %(max_jobs_of_day)s::bigint) AS is_taken
