-- The operators' page of health: keys by the version of the root key that wraps them.
SELECT root_version, keys FROM operator_key_progress(%(session_key)s)
