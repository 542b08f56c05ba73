-- What the web needs of allauth's table of second factors, and how it finds the tenants of an account.
GRANT SELECT, INSERT, UPDATE, DELETE ON mfa_authenticator TO {web};

CREATE FUNCTION read_standing(wanted uuid)
RETURNS TABLE (
  email text, is_staff boolean, has_factor boolean, member_id uuid, tenant_id uuid, tenant_name text, tenant_status text,
  require_mfa boolean, role text, may_read_payloads boolean
)
-- Runs as the owner: which tenants an account is a member of, is asked before any tenant is chosen. One row for each;
-- one without a tenant when there is none. Index: member_account.
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT a.email, a.is_staff,
         EXISTS (SELECT FROM mfa_authenticator f WHERE f.user_id = a.id AND f.type IN ('totp', 'webauthn')),
         m.id, m.tenant_id, t.name, t.status, t.require_mfa, m.role, m.may_read_payloads
  FROM account a
  LEFT JOIN (member m JOIN tenant t ON t.id = m.tenant_id AND t.status <> 'erased')
    ON m.account_id = a.id AND m.status = 'active'
  WHERE a.id = wanted
  ORDER BY t.name
$$;
REVOKE ALL ON FUNCTION read_standing FROM PUBLIC;
GRANT EXECUTE ON FUNCTION read_standing TO {web};
