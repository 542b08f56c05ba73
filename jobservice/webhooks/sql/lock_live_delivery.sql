-- retry: how far an unfinished delivery is, once whoever records a try of it has done so. Index: the primary key.
SELECT state FROM delivery_live WHERE tenant_id = %(tenant)s AND delivery_id = %(delivery)s FOR UPDATE
