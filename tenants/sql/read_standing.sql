-- Who an account is, and of which tenants it is a member: one row for each, or one without a tenant. Indexes:
-- member_account and account_pkey.
SELECT standing.email, standing.is_staff, account.login_epoch, has_factor, member_id, tenant_id, tenant_name,
       tenant_status, require_mfa, role, may_read_payloads
FROM read_standing(%(account)s) AS standing JOIN account ON account.id = %(account)s
ORDER BY tenant_name
