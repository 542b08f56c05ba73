-- A page of the operators' table of tenants: see operator_tenants.sql.
SELECT * FROM operator_tenants(
  %(session_key)s, %(prefix)s, %(by_wait)s, %(limit)s, %(skip)s, %(lanes)s, %(counted)s)
