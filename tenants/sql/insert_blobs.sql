-- Sealed values of any number of tenants, in the transaction that refers to them.
INSERT INTO blob (id, tenant_id, kind, epoch, sealed)
SELECT * FROM unnest(%(ids)s::uuid[], %(tenants)s::uuid[], %(kinds)s::text[], %(epochs)s::bigint[], %(values)s::bytea[])
