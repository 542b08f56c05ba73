-- Unique keys: what a claim says besides whose it is, and how long a job that has one holds it.

ALTER TABLE unique_claim
  -- While its job is not over, or has not started, it holds the key; null: it holds it no more, only the period does.
  ADD COLUMN held_while text CHECK (held_while IN ('unfinished', 'waiting'));
UPDATE unique_claim SET held_while = 'unfinished';
ALTER TABLE unique_claim
  ADD CONSTRAINT unique_claim_held CHECK (held_while IS NOT NULL OR expires_at IS NOT NULL);
CREATE INDEX unique_claim_age ON unique_claim (expires_at) WHERE held_while IS NULL;  -- prune_unique_claims.sql

ALTER TABLE job
  ADD COLUMN unique_while text CHECK (unique_while IN ('unfinished', 'waiting')),
  ADD CONSTRAINT job_unique_key CHECK (
    (unique_hash IS NULL) = (unique_while IS NULL) AND (unique_hash IS NULL OR octet_length(unique_hash) = 32));
