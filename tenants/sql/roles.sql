-- The runtime roles, without a login until the first start gives each a generated password.
-- Limits hang on the roles, not on sessions, so that a pooler cannot lose them.
DO $$
DECLARE wanted text;
BEGIN
  FOREACH wanted IN ARRAY ARRAY['web', 'worker', 'dispatcher'] LOOP
    wanted := current_database() || '_' || wanted;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
      EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE', wanted);
    END IF;
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), wanted);
  END LOOP;
END $$;

ALTER ROLE {web} SET statement_timeout = '5s';
ALTER ROLE {web} SET lock_timeout = '2s';
ALTER ROLE {web} SET idle_in_transaction_session_timeout = '5s';
ALTER ROLE {worker} SET statement_timeout = '10s';
ALTER ROLE {worker} SET lock_timeout = '2s';
ALTER ROLE {worker} SET idle_in_transaction_session_timeout = '10s';
ALTER ROLE {dispatcher} SET statement_timeout = '5s';
ALTER ROLE {dispatcher} SET lock_timeout = '1s';
ALTER ROLE {dispatcher} SET idle_in_transaction_session_timeout = '5s';

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO {web}, {worker}, {dispatcher};
