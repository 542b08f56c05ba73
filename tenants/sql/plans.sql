-- Plans: quotas under a name, which the operator sells. What holds for a tenant is in `tenant.quotas`, which every
-- statement reads; it is made of the tenant's plan and its own values by write_quotas.sql, in the same transaction.

CREATE TABLE plan (
  -- The operator's, and no tenant's: no runtime role may touch it.
  name text PRIMARY KEY CHECK (name ~ '^[a-z0-9-]{1,40}$'),
  -- As `tenant.quotas`: only what differs from the defaults, null is no limit.
  quotas jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(quotas) = 'object')
);

ALTER TABLE tenant
  ADD COLUMN plan text REFERENCES plan (name),
  -- What was set for the tenant itself, over its plan.
  ADD COLUMN own_quotas jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(own_quotas) = 'object');
CREATE INDEX tenant_on_plan ON tenant (plan, id) WHERE plan IS NOT NULL;  -- a change of the plan

UPDATE tenant SET own_quotas = quotas WHERE quotas <> '{}';
