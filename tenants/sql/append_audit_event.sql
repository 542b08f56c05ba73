-- An event after the head, which the transaction has locked, and the head upon it.
WITH head AS (
  UPDATE audit_head SET seq = %(seq)s, hash = %(hash)s, signature = %(signature)s WHERE tenant_id = %(tenant)s
  RETURNING tenant_id
)
INSERT INTO audit_event (id, tenant_id, seq, at, actor_type, actor_id, command, action, object_type, object_id, before,
                         after, address, request_id, hash)
SELECT %(id)s, head.tenant_id, %(seq)s, %(at)s, %(actor_type)s, %(actor_id)s, %(command)s, %(action)s, %(object_type)s,
       %(object_id)s, %(before)s, %(after)s, %(address)s, %(request_id)s, %(hash)s
FROM head
RETURNING seq
