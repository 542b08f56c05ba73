-- Failed runs of some groups by hour, the current hour in the last place. Index: error_count_pkey.
WITH moment AS MATERIALIZED (
  SELECT date_bin('1 hour', clock_timestamp(), 'epoch') AS hour
)
SELECT group_id, runs, %(hours)s - 1 - (extract(epoch FROM hour - at) / 3600)::integer AS place
FROM error_count CROSS JOIN moment
WHERE tenant_id = %(tenant)s AND group_id = ANY (%(groups)s::uuid[]) AND step_seconds = %(step)s
  AND at > hour - make_interval(hours => %(hours)s) AND at <= hour
