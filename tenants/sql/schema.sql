-- Who the work belongs to, the keys it is sealed under, and the sealed values themselves.

CREATE TABLE installation (
  -- One row: which root key this database belongs to, so that a wrong key file is refused at start.
  id smallint PRIMARY KEY CHECK (id = 1),
  root_key_fingerprint text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE tenant (
  id uuid PRIMARY KEY,
  name text NOT NULL UNIQUE CHECK (char_length(name) BETWEEN 1 AND 100),
  status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')),
  weight integer NOT NULL DEFAULT 1 CHECK (weight BETWEEN 1 AND 1000),
  -- Only the quotas that differ from the defaults; see tenants/quotas.py.
  quotas jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(quotas) = 'object'),
  created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE data_key (
  -- `data` seals values and rotates; `index` keys the hashes of lock names and must not change with it.
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenant (id),
  purpose text NOT NULL CHECK (purpose IN ('data', 'index')),
  version integer NOT NULL CHECK (version >= 1),
  wrapped bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  UNIQUE (tenant_id, purpose, version)
);

CREATE TABLE api_key (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenant (id),
  name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
  -- Random and public: it finds the row before any tenant is known, so it is unique over all tenants.
  lookup_id text NOT NULL UNIQUE CHECK (lookup_id ~ '^[0-9A-Za-z]{12}$'),
  secret_hash bytea NOT NULL CHECK (octet_length(secret_hash) = 32),
  scopes text[] NOT NULL CHECK (cardinality(scopes) > 0),
  queues text[],
  cidrs text[],
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  expires_at timestamptz,
  revoked_at timestamptz,
  last_used_at timestamptz
);
CREATE INDEX api_key_of_tenant ON api_key (tenant_id, id);  -- the list of a tenant's keys

CREATE TABLE signing_secret (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenant (id),
  name text NOT NULL DEFAULT 'default',
  sealed bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- Null: current. Set: the secret was rotated out and signs beside its successor until then.
  valid_until timestamptz
);
CREATE UNIQUE INDEX signing_secret_current ON signing_secret (tenant_id, name) WHERE valid_until IS NULL;

CREATE TABLE blob (
  -- Every sealed value of a job's life. The row's id and its kind are bound into the seal, so a blob cannot be moved;
  -- jobs, attempts and events refer to it. No foreign key: partitions leave by DROP.
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  kind text NOT NULL CHECK (kind IN ('payload', 'metadata', 'callback_url', 'result', 'error', 'response')),
  -- Results and errors are bound to the claim that produced them as well.
  epoch bigint CHECK ((epoch IS NOT NULL) = (kind IN ('result', 'error', 'response'))),
  sealed bytea NOT NULL CHECK (octet_length(sealed) >= 87)
) PARTITION BY RANGE (id);
ALTER TABLE blob ALTER COLUMN sealed SET STORAGE EXTERNAL;  -- sealed bytes do not compress

CREATE FUNCTION find_api_key(wanted text)
RETURNS TABLE (
  id uuid, tenant_id uuid, secret_hash bytea, scopes text[], queues text[], cidrs text[], is_live boolean,
  tenant_name text, tenant_status text, tenant_quotas jsonb
)
-- Runs as the owner: the only read that happens before a tenant is known, and it needs the key's own id.
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT k.id, k.tenant_id, k.secret_hash, k.scopes, k.queues, k.cidrs,
         k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp()),
         t.name, t.status, t.quotas
  FROM api_key k JOIN tenant t ON t.id = k.tenant_id
  WHERE k.lookup_id = wanted
$$;
REVOKE ALL ON FUNCTION find_api_key FROM PUBLIC;
GRANT EXECUTE ON FUNCTION find_api_key TO {web};

-- Partitions -----------------------------------------------------------------------------------------------------

CREATE FUNCTION uuid7_at(moment timestamptz) RETURNS uuid
-- The smallest UUIDv7 of a millisecond (RFC 9562, section 5.7): 48 bits of Unix time, the rest zero.
LANGUAGE sql IMMUTABLE STRICT AS $$
  SELECT (lpad(to_hex(floor(extract(epoch FROM moment) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

CREATE FUNCTION make_partitions(ahead integer DEFAULT 3) RETURNS integer
-- Makes the week partitions of every table partitioned by id, from this week to `ahead` weeks ahead; the number made.
-- Runs as the owner, because only it may attach partitions: the dispatcher's maintenance calls it.
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE parent text; monday timestamptz; made integer := 0; child text;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('make_partitions'));
  FOR parent IN
    SELECT c.relname FROM pg_partitioned_table p JOIN pg_class c ON c.oid = p.partrelid
    WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1
  LOOP
    FOR week IN 0..ahead LOOP
      monday := date_trunc('week', clock_timestamp() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' + week * interval '7 days';
      child := parent || '_' || to_char(monday AT TIME ZONE 'UTC', 'YYYYMMDD');
      IF to_regclass('public.' || quote_ident(child)) IS NULL THEN
        EXECUTE format('CREATE TABLE public.%I PARTITION OF public.%I FOR VALUES FROM (%L) TO (%L)', child, parent,
                       public.uuid7_at(monday), public.uuid7_at(monday + interval '7 days'));
        made := made + 1;
      END IF;
    END LOOP;
    child := parent || '_default';  -- catches what no partition was made for; doctor wants it empty
    IF to_regclass('public.' || quote_ident(child)) IS NULL THEN
      EXECUTE format('CREATE TABLE public.%I PARTITION OF public.%I DEFAULT', child, parent);
      made := made + 1;
    END IF;
  END LOOP;
  RETURN made;
END $$;
REVOKE ALL ON FUNCTION make_partitions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION make_partitions TO {dispatcher};
