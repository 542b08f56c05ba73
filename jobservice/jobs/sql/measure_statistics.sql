-- A series: how many durations in each bucket, by step. As count_statistics.sql.
WITH found AS MATERIALIZED (
  SELECT date_bin(make_interval(secs => %(step)s), at, 'epoch') AS at, waits, runs FROM statistic
  WHERE tenant_id = %(tenant)s AND step_seconds = %(base)s AND at >= %(since)s AND at < %(until)s
    AND queue = ANY (%(queues)s::text[]) AND type = %(type)s
), entries AS (
  SELECT at, true AS is_wait, unnest(waits) AS entry FROM found
  UNION ALL
  SELECT at, false, unnest(runs) FROM found
), summed AS (
  SELECT at, is_wait, entry >> 40 AS bucket, sum(entry & 1099511627775)::bigint AS held
  FROM entries GROUP BY at, is_wait, entry >> 40
)
SELECT at, is_wait, array_agg((bucket << 40) + held) AS entries FROM summed GROUP BY at, is_wait
