-- How many jobs of some queues ended in each step of a time, the latest step in the last place. Index: statistic_pkey, one
-- row for each minute of each queue. The moment is a value and not joined, so that the index is entered at its time.
WITH moment AS MATERIALIZED (
  SELECT date_bin(make_interval(secs => %(step)s), clock_timestamp(), 'epoch') AS latest
)
SELECT queue, %(steps)s - 1 - (extract(epoch FROM (SELECT latest FROM moment) - began) / %(step)s)::integer AS place, ended
FROM (
  SELECT queue, date_bin(make_interval(secs => %(step)s), at, 'epoch') AS began,
         sum(completed + discarded + cancelled)::bigint AS ended
  FROM statistic
  WHERE tenant_id = %(tenant)s AND step_seconds = %(base)s AND queue = ANY (%(queues)s::text[]) AND type = ''
    AND at >= (SELECT latest FROM moment) - make_interval(secs => %(step)s * (%(steps)s - 1))
    AND at < (SELECT latest FROM moment) + make_interval(secs => %(step)s)
  GROUP BY queue, began
) AS steps
