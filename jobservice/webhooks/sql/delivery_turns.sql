-- Turns of deliveries by target, so that no receiver holds up another tenant's. A target is an endpoint, or all callbacks
-- of a tenant.

ALTER TABLE delivery_live
  DROP CONSTRAINT delivery_live_state, DROP CONSTRAINT delivery_live_lease,
  -- Waiting: its next try is not due yet. Pending: it is.
  ADD CONSTRAINT delivery_live_state CHECK (state IN ('waiting', 'pending', 'dispatched', 'delivering', 'held')),
  ADD CONSTRAINT delivery_live_lease CHECK ((state IN ('waiting', 'pending', 'held')) = (lease_until IS NULL));
ALTER TABLE delivery_live NO FORCE ROW LEVEL SECURITY;
UPDATE delivery_live SET state = 'waiting' WHERE state = 'pending' AND due_at > clock_timestamp();
ALTER TABLE delivery_live FORCE ROW LEVEL SECURITY;
CREATE INDEX delivery_waiting ON delivery_live (due_at, delivery_id) WHERE state = 'waiting';  -- stage_deliveries.sql
-- The targets that have something due, and the first of each.
CREATE INDEX delivery_ready ON delivery_live ((coalesce(endpoint_id, tenant_id)), due_at, delivery_id)
  WHERE state = 'pending';

CREATE TABLE delivery_turn (
  -- Of the dispatchers: who claims for a target holds its row, so the slots in use are counted right.
  target_id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  served_at timestamptz
) WITH (fillfactor = 50);

CREATE TABLE delivery_health (
  -- Of those who record: how the last tries to a target went. No row: nobody has tried yet.
  target_id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  failures smallint NOT NULL DEFAULT 0,  -- groups of tries in a row of which none was taken
  duration_ms real NOT NULL DEFAULT 0,  -- a moving average
  -- Nothing is sent before: the receiver asked for it, or every try fails.
  blocked_until timestamptz
) WITH (fillfactor = 50);
