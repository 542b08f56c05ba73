-- Whose rows a worker's transaction sees, until its end. Its statements name their rows by arrays: each is planned once, and
-- not anew for every length of them, which over all partitions costs more than to run it.
SELECT set_config('app.tenants', %(tenants)s, true) AS tenants,
       set_config('plan_cache_mode', 'force_generic_plan', true) AS mode
