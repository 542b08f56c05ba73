-- Leases that ended a while ago and are still held. Index: job_held and delivery_leased; what is claimed is bounded.
SELECT 'job' AS kind, count(*)::integer AS count, (array_agg(job_id ORDER BY lease_until))[1] AS example,
       extract(epoch FROM max(clock_timestamp() - lease_until))::float8 AS seconds
FROM job_live
WHERE state IN ('dispatched', 'executing') AND lease_until < clock_timestamp() - make_interval(secs => %(grace_seconds)s)
UNION ALL
SELECT 'delivery', count(*)::integer, (array_agg(delivery_id ORDER BY lease_until))[1],
       extract(epoch FROM max(clock_timestamp() - lease_until))::float8
FROM delivery_live
WHERE state IN ('dispatched', 'delivering') AND lease_until < clock_timestamp() - make_interval(secs => %(grace_seconds)s)
