-- The gate that claims of the tenant pass one by one. None before the tenant's first job: then there is nothing to claim.
SELECT FROM claim_gate WHERE tenant_id = %(tenant)s FOR NO KEY UPDATE
