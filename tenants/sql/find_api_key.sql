-- The one read before any tenant is known. Index: the unique constraint of api_key.lookup_id.
SELECT * FROM find_api_key(%(lookup_id)s)
