-- set_plan, set_quota: these tenants are on this plan, or on none, with these values of their own; what holds for them is
-- the plan with those on top. Index: tenant_pkey, plan_pkey.
-- Plan and tenants are locked by statements before, so that this one sees them as they are under the locks. It is the one
-- write of a tenant: a second one in the same transaction would look at the plan's key again, and wait for its lock.
UPDATE tenant
SET plan = %(plan)s, own_quotas = asked.own_quotas,
    quotas = coalesce((SELECT plan.quotas FROM plan WHERE plan.name = %(plan)s), '{}') || asked.own_quotas
FROM unnest(%(tenants)s::uuid[], %(own_quotas)s::jsonb[]) AS asked (id, own_quotas)
WHERE tenant.id = asked.id
RETURNING tenant.quotas
