-- The invitation that hashes so, while it can be redeemed. Index: member_invitation.
SELECT member_id, tenant_id, tenant_name, email, role FROM find_invitation(%(hash)s)
