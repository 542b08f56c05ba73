-- Sealed values that take the place of older ones: the rows, and with them what the values are bound to, stay.
-- Index: blob's primary key.
UPDATE blob b SET sealed = n.sealed
FROM unnest(%(ids)s::uuid[], %(tenants)s::uuid[], %(kinds)s::text[], %(epochs)s::bigint[], %(values)s::bytea[])
  AS n (id, tenant_id, kind, epoch, sealed)
WHERE b.id = n.id AND b.tenant_id = n.tenant_id AND b.kind = n.kind AND b.epoch IS NOT DISTINCT FROM n.epoch
