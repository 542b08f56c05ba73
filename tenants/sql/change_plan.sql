-- set_plan: makes the plan, or changes some of its values; those in `removed` leave it. Index: plan_pkey.
-- Its row is locked before those of its tenants, so that whoever puts one on the plan meanwhile waits, or is waited for.
INSERT INTO plan (name, quotas) VALUES (%(plan)s, %(values)s::jsonb)
ON CONFLICT (name) DO UPDATE SET quotas = (plan.quotas || excluded.quotas) - %(removed)s::text[]
RETURNING quotas
