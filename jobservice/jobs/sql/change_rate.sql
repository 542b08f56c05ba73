-- A queue's rate was changed: its bucket lacks as many starts as before, each of the new length, and no more than the new
-- burst. The time until it would be full is of the old rate: of one a day it would hold back what may start each second.
-- No claim is under way, so nobody else writes it. Index: queue_rate_pkey.
UPDATE queue_rate
SET full_at = clock_timestamp() + make_interval(secs => %(interval_seconds)s::float8 * least(
  %(most_lacking)s::float8, extract(epoch FROM full_at - clock_timestamp())::float8 / %(old_interval_seconds)s::float8))
WHERE tenant_id = %(tenant)s AND queue = %(queue)s AND full_at > clock_timestamp()
