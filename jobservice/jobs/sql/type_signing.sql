-- How calls of an http type are signed: by which scheme, and whether under a secret of the type's own, whose name is its id.
ALTER TABLE job_type
  ADD COLUMN scheme text NOT NULL DEFAULT 'v1' CONSTRAINT job_type_scheme CHECK (scheme IN ('v1', 'v1a')),
  ADD COLUMN has_own_secret boolean NOT NULL DEFAULT false,
  -- Of a secret of its own, in this version of the type: part of the ETag, as a rotation shows another public key.
  ADD COLUMN secret_rotated_at timestamptz,
  ADD CONSTRAINT job_type_own_secret CHECK (executor = 'http' OR NOT has_own_secret),
  ADD CONSTRAINT job_type_rotated_secret CHECK (has_own_secret OR secret_rotated_at IS NULL);
