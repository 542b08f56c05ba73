-- How often an account's proofs have changed: what began before the last change is over, whoever still writes it back.
ALTER TABLE account ADD COLUMN login_epoch bigint NOT NULL DEFAULT 0;
-- The account's epoch when the session's proof was looked at. Null for a session of nobody yet.
ALTER TABLE login_session ADD COLUMN login_epoch bigint;
GRANT UPDATE (login_epoch) ON account TO {web};
