-- The audit log: what people, API keys and operators did, a chain of hashes per tenant. See tenants/audit_chain.py.

-- Wrapped under the root key; null until `create_keys` or a command of the operator makes it.
ALTER TABLE installation ADD COLUMN audit_key bytea CHECK (octet_length(audit_key) > 32);
-- Workers write no audit log: of the row they read what they did before.
REVOKE SELECT ON installation FROM {worker};
GRANT SELECT (id, root_key_fingerprint, key_changes, created_at) ON installation TO {worker};

CREATE TABLE audit_head (
  -- The last event of each tenant's chain. Whoever appends locks this row, late in the transaction; who submits or runs
  -- jobs never does.
  tenant_id uuid PRIMARY KEY REFERENCES tenant (id),
  seq bigint NOT NULL DEFAULT 0 CHECK (seq >= 0),
  hash bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex') CHECK (octet_length(hash) = 32),
  -- An HMAC under the audit key: who writes to the database alone cannot make one.
  signature bytea CHECK (octet_length(signature) = 32),
  CHECK ((seq = 0) = (signature IS NULL))
) WITH (fillfactor = 50);

CREATE TABLE audit_event (
  id uuid PRIMARY KEY,
  -- Not of the tenant's own row: an erasure, which holds that, is itself an event.
  tenant_id uuid NOT NULL REFERENCES audit_head (tenant_id),
  seq bigint NOT NULL CHECK (seq >= 1),
  at timestamptz NOT NULL,
  actor_type text NOT NULL CHECK (actor_type IN ('api-key', 'member', 'operator', 'service')),
  actor_id text NOT NULL,           -- key_…, mem_…, the operator's login on the machine, the service's process
  command text,                     -- the operator's
  action text NOT NULL,
  object_type text NOT NULL,
  object_id text NOT NULL,
  -- JSON as it was hashed: jsonb would write numbers in its own way.
  before text CHECK (before IS NULL OR before::json IS NOT NULL),
  after text CHECK (after IS NULL OR after::json IS NOT NULL),
  address text,
  request_id text,
  hash bytea NOT NULL CHECK (octet_length(hash) = 32)
);
CREATE UNIQUE INDEX audit_event_seq ON audit_event (tenant_id, seq);                   -- the list, the walk, no fork
CREATE INDEX audit_event_of_actor ON audit_event (tenant_id, actor_id, seq);           -- ?actor=
CREATE INDEX audit_event_of_action ON audit_event (tenant_id, action, seq);            -- ?action=
CREATE INDEX audit_event_of_object ON audit_event (tenant_id, object_id, seq);         -- ?object=
CREATE INDEX audit_event_at ON audit_event (tenant_id, at);                            -- ?since=&until=

CREATE FUNCTION keep_audit_log() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the audit log is never changed' USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'audit_log_is_kept';
END $$;
CREATE TRIGGER audit_event_is_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_event
  FOR EACH STATEMENT EXECUTE FUNCTION keep_audit_log();
CREATE TRIGGER audit_head_is_kept BEFORE DELETE OR TRUNCATE ON audit_head
  FOR EACH STATEMENT EXECUTE FUNCTION keep_audit_log();
CREATE TRIGGER audit_head_moves_by_one BEFORE UPDATE ON audit_head
  FOR EACH ROW WHEN (NEW.seq <> OLD.seq + 1 OR NEW.tenant_id <> OLD.tenant_id) EXECUTE FUNCTION keep_audit_log();
-- Also in a session that replicates, where others are silent.
ALTER TABLE audit_event ENABLE ALWAYS TRIGGER audit_event_is_kept;
ALTER TABLE audit_head ENABLE ALWAYS TRIGGER audit_head_is_kept;
ALTER TABLE audit_head ENABLE ALWAYS TRIGGER audit_head_moves_by_one;

CREATE FUNCTION make_audit_head() RETURNS trigger
-- Whichever version of the code makes the tenant. A chain without a head is broken.
LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO audit_head (tenant_id) VALUES (NEW.id);
  RETURN NULL;
END $$;
CREATE TRIGGER tenant_has_audit_head AFTER INSERT ON tenant FOR EACH ROW EXECUTE FUNCTION make_audit_head();
INSERT INTO audit_head (tenant_id) SELECT id FROM tenant;
