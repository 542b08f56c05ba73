-- Of which quotas a tenant has been warned, until it uses clearly less again.
CREATE TABLE quota_warning (
  tenant_id uuid NOT NULL REFERENCES tenant (id),
  name text NOT NULL,
  -- Of a quota of the day: which day of UTC. The next one begins anew.
  day date NOT NULL,
  warned_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (tenant_id, name)
);
