-- Keys whose text was replaced, and the refill of each tenant's requests that is lent out already.

ALTER TABLE api_key
  ADD COLUMN rotated_at timestamptz,
  -- The text before the last rotation works beside its successor until then.
  ADD COLUMN previous_secret_hash bytea CHECK (octet_length(previous_secret_hash) = 32),
  ADD COLUMN previous_valid_until timestamptz,
  ADD CONSTRAINT api_key_previous_is_whole CHECK ((previous_secret_hash IS NULL) = (previous_valid_until IS NULL)),
  ADD CONSTRAINT api_key_previous_was_rotated CHECK (previous_secret_hash IS NULL OR rotated_at IS NOT NULL);

CREATE UNLOGGED TABLE request_bucket (
  -- How many requests of a tenant the processes may still admit; see tenants/request_limits.py. Unlogged: a process
  -- that takes a block waits for no disk, and after a crash of the database every bucket is simply full.
  tenant_id uuid PRIMARY KEY REFERENCES tenant (id),
  -- The refill up to here is lent. Now or earlier: the bucket is full. A burst's worth ahead of now: it is empty.
  lent_until timestamptz NOT NULL,
  -- The last block: where its refill begins, how many requests it holds, and how many were left after it.
  lent_from timestamptz NOT NULL,
  lent integer NOT NULL CHECK (lent >= 0),
  left_over double precision NOT NULL
) WITH (fillfactor = 20);  -- each block rewrites the row: room for that in its page

-- Beside find_api_key, which stays for processes of the version before: what they have prepared must not change its type.
CREATE FUNCTION look_up_api_key(wanted text)
RETURNS TABLE (
  id uuid, tenant_id uuid, secret_hash bytea, previous_secret_hash bytea, scopes text[], queues text[], cidrs text[],
  expires_at timestamptz, is_live boolean, is_use_unnoted boolean,
  tenant_name text, tenant_status text, tenant_quotas jsonb
)
-- Runs as the owner: the only read that happens before a tenant is known, and it needs the key's own id.
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT k.id, k.tenant_id, k.secret_hash,
         CASE WHEN k.previous_valid_until > clock_timestamp() THEN k.previous_secret_hash END,
         k.scopes, k.queues, k.cidrs, k.expires_at,
         k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp()),
         k.last_used_at IS NULL OR k.last_used_at < clock_timestamp() - interval '60 seconds',
         t.name, t.status, t.quotas
  FROM api_key k JOIN tenant t ON t.id = k.tenant_id
  WHERE k.lookup_id = wanted
$$;
REVOKE ALL ON FUNCTION look_up_api_key FROM PUBLIC;
GRANT EXECUTE ON FUNCTION look_up_api_key TO {web};
