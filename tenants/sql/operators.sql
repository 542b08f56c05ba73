-- What operators of the installation do in the console, as the web's role. That role sees one tenant at a time and changes
-- nothing that the operator sets. It is not given more: what spans tenants comes from functions that run as the owner and
-- return figures only, and what changes a tenant's state, weight or quotas is refused by a trigger. Both want the living
-- session of an operator who has a second factor, proved by its key: only the browser holds it, and `login_session`, which
-- the web reads, has the key's hash. That guards against a page that forgets to ask who is there, and against a statement
-- that somebody put into one; not against who writes sessions, or has the whole web process, for it is the web that makes
-- them. A key comes as a parameter, and into no message.

CREATE FUNCTION acting_operator(session_key text) RETURNS uuid
-- The operator whose living session has this key; null for anybody else. The hash is the one of `hash_session_key` in
-- tenants/console/session_store.py. Index: login_session_pkey.
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT a.id FROM login_session s JOIN account a ON a.id = s.account_id AND a.login_epoch = s.login_epoch
  WHERE s.key_hash = encode(sha256(convert_to(session_key, 'UTF8')), 'hex')
    AND s.expires_at > clock_timestamp() AND a.is_staff
    AND EXISTS (SELECT FROM mfa_authenticator f WHERE f.user_id = a.id AND f.type IN ('totp', 'webauthn'))
$$;
REVOKE ALL ON FUNCTION acting_operator FROM PUBLIC;
GRANT EXECUTE ON FUNCTION acting_operator TO {web};

CREATE FUNCTION is_operators_transaction() RETURNS boolean
-- Whether this transaction has the key of an operator's session: see `operator_tx` in tenants/operators.py.
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT public.acting_operator(nullif(current_setting('app.operator', true), '')) IS NOT NULL
$$;
REVOKE ALL ON FUNCTION is_operators_transaction FROM PUBLIC;
GRANT EXECUTE ON FUNCTION is_operators_transaction TO {web};

CREATE FUNCTION refuse_others_than_operators() RETURNS trigger
-- Runs as whoever writes: the owner, whose the commands are, may; the web for an operator only.
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF pg_has_role(current_user, (SELECT relowner FROM pg_class WHERE oid = TG_RELID), 'USAGE') THEN
    RETURN NEW;
  END IF;
  IF NOT is_operators_transaction() THEN
    RAISE EXCEPTION 'only an operator changes this of a tenant'
      USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'operators_only';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER operators_only BEFORE UPDATE OF status, weight, plan, quotas, own_quotas ON tenant
  FOR EACH ROW EXECUTE FUNCTION refuse_others_than_operators();
GRANT UPDATE (status, weight, plan, quotas, own_quotas) ON tenant TO {web};

CREATE TABLE health_report (
  -- One row: what `manage.py doctor --keep` found last, for the operators' page, and the wish for it anew, which is there
  -- until it is fulfilled: `taken_at` once a dispatcher is about it, `failure` when that came to nothing.
  id smallint PRIMARY KEY CHECK (id = 1),
  -- A list of {name, status, detail, fix}.
  findings jsonb CHECK (jsonb_typeof(findings) = 'array'),
  examined_at timestamptz,
  wanted_at timestamptz,
  taken_at timestamptz CHECK (taken_at IS NULL OR wanted_at IS NOT NULL),
  failure text CHECK (failure IN ('not-begun', 'cannot-look', 'too-long')),
  CHECK (failure IS NULL OR taken_at IS NOT NULL),
  CHECK ((findings IS NULL) = (examined_at IS NULL))
);
INSERT INTO health_report (id) VALUES (1);
ALTER TABLE health_report ENABLE ROW LEVEL SECURITY;
CREATE POLICY operators_read ON health_report FOR SELECT TO {web} USING ((SELECT is_operators_transaction()));
CREATE POLICY operators_ask ON health_report FOR UPDATE TO {web} USING ((SELECT is_operators_transaction()));
CREATE POLICY heeds ON health_report TO {dispatcher} USING (true) WITH CHECK (true);
GRANT SELECT, UPDATE (wanted_at, taken_at, failure) ON health_report TO {web};
-- Not the findings: it only looks whether somebody asked, begins, and says what became of it.
GRANT SELECT (id, wanted_at, taken_at, failure), UPDATE (taken_at, failure) ON health_report TO {dispatcher};

CREATE FUNCTION operator_key_progress(session_key text) RETURNS TABLE (root_version bigint, keys bigint)
-- How many keys, of tenants and of the installation, are wrapped under each version of the root key, which stands in
-- bytes 3 to 6 of each (jobservice/crypto/root_key.py). No key is returned. Index: none, a tenant has a few keys.
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF acting_operator(session_key) IS NULL THEN
    RAISE EXCEPTION 'only for operators' USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'operators_only';
  END IF;
  RETURN QUERY
    SELECT ('x' || encode(substring(wrapped FROM 4 FOR 4), 'hex'))::bit(32)::bigint, count(*)
    FROM (
      SELECT data_key.wrapped FROM data_key
      UNION ALL SELECT audit_key FROM installation WHERE audit_key IS NOT NULL
      UNION ALL SELECT login_key FROM installation WHERE login_key IS NOT NULL
    ) AS held (wrapped)
    GROUP BY 1 ORDER BY 1;
END $$;
REVOKE ALL ON FUNCTION operator_key_progress FROM PUBLIC;
GRANT EXECUTE ON FUNCTION operator_key_progress TO {web};

CREATE FUNCTION operator_key_rotations(session_key text, most integer)
RETURNS TABLE (tenant_id uuid, name text, old_version integer, new_version integer, begun_at timestamptz)
-- Tenants whose data key has a newer version than the one below which nothing opens: their rotation is under way, or was
-- cut short. The oldest first. Index: data_key's unique constraint, for each tenant its newest.
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
#variable_conflict use_column
BEGIN
  IF acting_operator(session_key) IS NULL THEN
    RAISE EXCEPTION 'only for operators' USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'operators_only';
  END IF;
  RETURN QUERY
    SELECT t.id, t.name, t.min_open_version, newest.version, newest.created_at
    FROM tenant t CROSS JOIN LATERAL (
      SELECT k.version, k.created_at FROM data_key k
      WHERE k.tenant_id = t.id AND k.purpose = 'data' ORDER BY k.version DESC LIMIT 1
    ) AS newest
    WHERE t.status <> 'erased' AND newest.version > t.min_open_version
    ORDER BY newest.created_at, t.id LIMIT most;
END $$;
REVOKE ALL ON FUNCTION operator_key_rotations FROM PUBLIC;
GRANT EXECUTE ON FUNCTION operator_key_rotations TO {web};
