-- The end of a tenant's chain, held until the commit: the next event waits for this one. Index: audit_head_pkey.
-- Of a row that was awaited, the time is looked at again after the wait, so that times follow the numbers.
SELECT seq, hash, signature, clock_timestamp() AS at FROM audit_head WHERE tenant_id = %(tenant)s FOR UPDATE
