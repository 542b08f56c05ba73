-- Dispatchers that are connected, and those that asked something just now; a role sees its own sessions in full.
-- A dispatcher has a session that works and, once it listens, one that waits.
SELECT count(DISTINCT client) FILTER (WHERE asked_at > clock_timestamp() - make_interval(secs => %(silent_seconds)s))
         AS turning,
       count(*) AS connected
FROM (
  SELECT pid AS client, query_start AS asked_at FROM pg_stat_activity
  WHERE datname = current_database() AND usename = current_user AND application_name = 'jobservice dispatcher'
    AND query NOT LIKE 'LISTEN %%'
) AS session
