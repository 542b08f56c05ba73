-- Workers that were seen just now, by pool and version; one that drains takes nothing more. Table worker is small.
SELECT pool, version, count(*)::integer AS alive, coalesce(sum(slots) FILTER (WHERE NOT is_draining), 0)::integer AS slots
FROM worker
WHERE seen_at > clock_timestamp() - make_interval(secs => %(silent_seconds)s)
GROUP BY pool, version
ORDER BY pool, version
