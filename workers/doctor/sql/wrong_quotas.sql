-- Tenants whose limits are not what their plan says with their own values on top. Read as the owner, whose the plans are.
-- One snapshot: whoever changes a plan writes its tenants in the same transaction. Index: none, tenants are few.
SELECT tenant.id
FROM tenant LEFT JOIN plan ON plan.name = tenant.plan
WHERE tenant.quotas <> coalesce(plan.quotas, '{}') || tenant.own_quotas
ORDER BY tenant.id
