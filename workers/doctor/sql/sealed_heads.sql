-- The first bytes of the newest sealed values; stored uncompressed, so only those are read. Index: blob's primary key.
SELECT id, substring(sealed FROM 1 FOR 3) AS head FROM blob ORDER BY id DESC LIMIT %(limit)s
