-- Plans are looked at, and locked while a tenant is put on one; the web changes none. Not forced: the owner's commands
-- know nothing of sessions.
ALTER TABLE plan ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS operators_read ON plan;
CREATE POLICY operators_read ON plan FOR SELECT TO {web} USING ((SELECT is_operators_transaction()));
DROP POLICY IF EXISTS operators_lock ON plan;
CREATE POLICY operators_lock ON plan FOR UPDATE TO {web} USING ((SELECT is_operators_transaction())) WITH CHECK (false);
-- A row is locked only by who may update a column of it.
GRANT SELECT, UPDATE (name) ON plan TO {web};
