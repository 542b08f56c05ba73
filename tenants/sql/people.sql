-- The logins of people, their sessions, and the guard against guessing. They belong to no tenant: a person may be a
-- member of several. Only the web reads them.

CREATE TABLE account (
  -- A person's login. `is_staff`: an operator of the installation, which only its owner's commands make.
  id uuid PRIMARY KEY,
  email text NOT NULL UNIQUE CHECK (
    char_length(email) BETWEEN 3 AND 254 AND email = lower(email COLLATE "C") AND email ~ '^[^@[:space:]]+@[^@[:space:]]+$'),
  -- Django's encoded hash; `!…` is none that any password fits.
  password text NOT NULL CHECK (char_length(password) BETWEEN 1 AND 255),
  is_staff boolean NOT NULL DEFAULT false,
  -- SHA-256 of a link that was sent or printed once, to choose another password by.
  reset_hash bytea CHECK (octet_length(reset_hash) = 32),
  reset_expires_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  CHECK ((reset_hash IS NULL) = (reset_expires_at IS NULL))
);
CREATE UNIQUE INDEX account_reset ON account (reset_hash) WHERE reset_hash IS NOT NULL;  -- redeeming a link

CREATE TABLE login_session (
  -- Known by the hash of what the cookie holds: a copy of this table opens no console.
  key_hash text PRIMARY KEY CHECK (char_length(key_hash) = 64),
  -- Null while somebody is on the way to log in.
  account_id uuid REFERENCES account (id),
  data jsonb NOT NULL CHECK (jsonb_typeof(data) = 'object'),
  address text,
  user_agent text CHECK (char_length(user_agent) <= 200),
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  last_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  expires_at timestamptz NOT NULL
);
CREATE INDEX login_session_of_account ON login_session (account_id);  -- the list of one's own, and ending them
CREATE INDEX login_session_expiry ON login_session (expires_at);  -- removing those that are over

CREATE TABLE login_throttle (
  -- How far the tries of one account, or from one network, are used up: see tenants/login_throttle.py. The key is a
  -- keyed hash, so that no address of a person or a machine stands here.
  key text PRIMARY KEY CHECK (char_length(key) = 64),
  used_until timestamptz NOT NULL
);
CREATE INDEX login_throttle_over ON login_throttle (used_until);  -- removing those that say nothing any more

-- Who redeemed the invitation, and when they were last in the tenant's console.
ALTER TABLE member
  ADD COLUMN account_id uuid REFERENCES account (id),
  ADD COLUMN last_seen_at timestamptz,
  ADD CONSTRAINT member_account_check CHECK (status <> 'active' OR account_id IS NOT NULL);
CREATE UNIQUE INDEX member_account ON member (account_id, tenant_id) WHERE status = 'active';  -- one's tenants

-- Its members need a second factor before they see anything of it.
ALTER TABLE tenant ADD COLUMN require_mfa boolean NOT NULL DEFAULT false;

-- Seals the seeds of second factors, wrapped under the root key; null until the owner's commands make it.
ALTER TABLE installation ADD COLUMN login_key bytea CHECK (octet_length(login_key) > 32);

CREATE FUNCTION find_invitation(wanted bytea)
RETURNS TABLE (member_id uuid, tenant_id uuid, tenant_name text, email text, role text)
-- Runs as the owner: whoever holds an invitation is of no tenant yet, and nobody can guess one.
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT m.id, m.tenant_id, t.name, m.email, m.role
  FROM member m JOIN tenant t ON t.id = m.tenant_id
  WHERE m.invitation_hash = wanted AND m.status = 'invited' AND m.invitation_expires_at > clock_timestamp()
    AND t.status <> 'erased'
$$;
REVOKE ALL ON FUNCTION find_invitation FROM PUBLIC;
GRANT EXECUTE ON FUNCTION find_invitation TO {web};

GRANT UPDATE (account_id, last_seen_at) ON member TO {web};
GRANT UPDATE (require_mfa) ON tenant TO {web};
-- Not the address, and not who is staff.
GRANT SELECT, INSERT (id, email, password), UPDATE (password, reset_hash, reset_expires_at) ON account TO {web};
GRANT SELECT, INSERT, UPDATE, DELETE ON login_session, login_throttle TO {web};
