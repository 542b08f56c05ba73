-- A custom setting that lasts until the end of the transaction, which no pooled connection can carry further.
SELECT set_config(%(name)s, %(value)s, true)
