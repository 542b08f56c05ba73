-- Endpoints: receivers of a tenant that are told of events of their choice, besides a job's own callback.

CREATE FUNCTION new_id() RETURNS uuid
-- A UUIDv7 (RFC 9562, section 5.7): 48 bits of Unix milliseconds, then a version 4 with its version made 7.
LANGUAGE sql VOLATILE AS $$
  SELECT encode(set_bit(set_bit(overlay(
    uuid_send(gen_random_uuid())
    PLACING substring(int8send(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6
  ), 52, 1), 53, 1), 'hex')::uuid
$$;

CREATE TABLE webhook_endpoint (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenant (id),
  url_sealed bytea NOT NULL,
  headers_sealed bytea,  -- a JSON object of names and values
  events text[] NOT NULL CHECK (cardinality(events) > 0),  -- types, or '*' for all
  queues text[],  -- null: of any queue
  types text[],  -- null: of any job type
  scheme text NOT NULL DEFAULT 'v1' CHECK (scheme IN ('v1', 'v1a')),
  has_own_secret boolean NOT NULL DEFAULT false,
  status text NOT NULL DEFAULT 'enabled' CHECK (status IN ('enabled', 'paused', 'disabled')),
  status_reason text CHECK ((status = 'disabled') = (status_reason IS NOT NULL)),
  -- Since when every try has failed; null while the last one did not.
  failing_since timestamptz,
  revision bigint NOT NULL DEFAULT 1,  -- of what the tenant wrote and of the status
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX webhook_endpoint_of_tenant ON webhook_endpoint (tenant_id, id);  -- the list, and who is told of an event

-- An event is a job's, or of the tenant alone: then `details` is all there is to tell.
ALTER TABLE event
  ALTER COLUMN job_id DROP NOT NULL, ALTER COLUMN job DROP NOT NULL, ALTER COLUMN epoch DROP NOT NULL,
  ADD CONSTRAINT event_of_whom CHECK ((job_id IS NULL) = (job IS NULL) AND (job_id IS NULL) = (epoch IS NULL)
                                      AND (job_id IS NOT NULL OR details IS NOT NULL));

-- A delivery goes to a job's callback or to an endpoint. At its end it keeps how far it came, for a later retry.
ALTER TABLE delivery
  ALTER COLUMN job_id DROP NOT NULL, ALTER COLUMN callback_id DROP NOT NULL,
  ADD COLUMN endpoint_id uuid, ADD COLUMN epoch bigint, ADD COLUMN attempts integer,
  ADD CONSTRAINT delivery_to_whom CHECK ((callback_id IS NULL) <> (endpoint_id IS NULL));
CREATE INDEX delivery_of_endpoint ON delivery (tenant_id, endpoint_id, id) WHERE endpoint_id IS NOT NULL;  -- the list

ALTER TABLE delivery_attempt
  ALTER COLUMN job_id DROP NOT NULL,
  ADD COLUMN answer_id uuid;  -- a blob: the beginning of what the receiver answered
CREATE INDEX delivery_attempt_of_delivery ON delivery_attempt (tenant_id, delivery_id, id);

ALTER TABLE delivery_live
  ADD COLUMN endpoint_id uuid,
  -- Tries made before the delivery was asked for anew: the schedule begins again after them.
  ADD COLUMN earlier_attempts integer NOT NULL DEFAULT 0,
  DROP CONSTRAINT delivery_live_state_check,
  DROP CONSTRAINT delivery_live_check,
  -- Held: its endpoint is paused or disabled.
  ADD CONSTRAINT delivery_live_state CHECK (state IN ('pending', 'dispatched', 'delivering', 'held')),
  ADD CONSTRAINT delivery_live_lease CHECK ((state IN ('pending', 'held')) = (lease_until IS NULL)),
  ADD CONSTRAINT delivery_live_held CHECK (state <> 'held' OR endpoint_id IS NOT NULL);
DROP INDEX delivery_held;
-- The reaper, and the count of slots in use.
CREATE INDEX delivery_leased ON delivery_live (state) WHERE state IN ('dispatched', 'delivering');
CREATE INDEX delivery_held ON delivery_live (endpoint_id, delivery_id) WHERE state = 'held';  -- release_held.sql
