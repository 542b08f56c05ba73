-- Index: unique_claim_age. A claim that somebody is just taking is left to him; looked at once more under the row lock.
WITH old AS MATERIALIZED (
  SELECT tenant_id, hash FROM unique_claim
  WHERE held_while IS NULL AND expires_at <= clock_timestamp()
  ORDER BY expires_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
DELETE FROM unique_claim u USING old
WHERE u.tenant_id = old.tenant_id AND u.hash = old.hash AND u.held_while IS NULL AND u.expires_at <= clock_timestamp()
RETURNING u.expires_at
