-- The people of a tenant, the erasure of a tenant, and what a rotation of its keys leaves behind.

-- Rises with every change of any tenant's keys. Each process looks at it once a second, and forgets what it had opened
-- when it has moved: one look at one row, however many tenants there are.
ALTER TABLE installation ADD COLUMN key_changes bigint NOT NULL DEFAULT 0;

ALTER TABLE tenant
  -- Values sealed under an older version of the data key are refused: a rotation has sealed them all anew.
  ADD COLUMN min_open_version integer NOT NULL DEFAULT 1 CHECK (min_open_version >= 1),
  ADD COLUMN erased_at timestamptz,
  DROP CONSTRAINT tenant_status_check,
  ADD CONSTRAINT tenant_status_check CHECK (status IN ('active', 'suspended', 'erased')),
  ADD CONSTRAINT tenant_erased_at_check CHECK ((status = 'erased') = (erased_at IS NOT NULL));

CREATE FUNCTION keep_tenant_erased() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'tenant % is erased for good', OLD.id USING ERRCODE = 'check_violation', CONSTRAINT = 'tenant_is_erased';
END $$;
CREATE TRIGGER tenant_stays_erased BEFORE UPDATE ON tenant
  FOR EACH ROW WHEN (OLD.status = 'erased' AND NEW.status <> 'erased') EXECUTE FUNCTION keep_tenant_erased();

CREATE FUNCTION refuse_erased_tenant() RETURNS trigger
-- Whoever adds a row of a tenant while it is being erased waits here for the erasure, and is then refused. Runs as the
-- owner, because the runtime roles may not lock a tenant. On tables that seldom grow, and on the lane that every
-- accepted job needs; see `refuse_erased` in tenants/rls.py.
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  PERFORM FROM tenant WHERE id = NEW.tenant_id AND status <> 'erased' FOR KEY SHARE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'tenant % is erased', NEW.tenant_id
      USING ERRCODE = 'check_violation', CONSTRAINT = 'tenant_is_erased';
  END IF;
  RETURN NEW;
END $$;
REVOKE ALL ON FUNCTION refuse_erased_tenant FROM PUBLIC;

CREATE TABLE member (
  -- A person of a tenant: what they may do in its console.
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenant (id),
  email text NOT NULL CHECK (
    char_length(email) BETWEEN 3 AND 254 AND email = lower(email COLLATE "C") AND email ~ '^[^@[:space:]]+@[^@[:space:]]+$'),
  role text NOT NULL CHECK (role IN ('owner', 'admin', 'operator', 'viewer')),
  -- Apart from the role: whoever runs the queues need not read what is in them.
  may_read_payloads boolean NOT NULL DEFAULT false,
  status text NOT NULL DEFAULT 'invited' CHECK (status IN ('invited', 'active', 'removed')),
  -- SHA-256 of the invitation, which was shown once; it is spent by whoever redeems it.
  invitation_hash bytea CHECK (octet_length(invitation_hash) = 32),
  invitation_expires_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  CHECK ((status = 'invited') = (invitation_hash IS NOT NULL)),
  CHECK ((status = 'invited') = (invitation_expires_at IS NOT NULL))
);
-- One living membership for each address; whoever was removed may be invited again.
CREATE UNIQUE INDEX member_email ON member (tenant_id, email) WHERE status <> 'removed';
CREATE UNIQUE INDEX member_invitation ON member (invitation_hash) WHERE status = 'invited';  -- redeeming one

CREATE INDEX blob_of_tenant ON blob (tenant_id, id);  -- sealing a tenant's values anew, and erasing them
