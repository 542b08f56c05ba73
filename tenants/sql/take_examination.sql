-- dispatcher: somebody asked for the health checks. One dispatcher of several takes the wish, which stays until it is
-- fulfilled; one that a dispatcher took with it when it died is taken again. Index: health_report_pkey.
UPDATE health_report SET taken_at = clock_timestamp()
WHERE id = 1 AND wanted_at IS NOT NULL AND failure IS NULL
  AND (taken_at IS NULL OR taken_at < clock_timestamp() - make_interval(secs => %(forgotten)s::float8))
RETURNING taken_at
