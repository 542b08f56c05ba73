-- Sessions of this role, for a role sees the times of its own only; and prepared transactions, which anybody sees.
SELECT usename::text AS login, extract(epoch FROM max(clock_timestamp() - xact_start))::float8 AS seconds
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
GROUP BY usename
UNION ALL
SELECT owner::text, extract(epoch FROM max(clock_timestamp() - prepared))::float8
FROM pg_prepared_xacts WHERE database = current_database()
GROUP BY owner
