INSERT INTO worker (id, pool, host, pid, version, slots)
VALUES (%(id)s, %(pool)s, %(host)s, %(pid)s, %(version)s, %(slots)s)
