-- Spend a period's code of an authenticator: no row when it, or a later one, was spent before. Index: its primary key.
UPDATE mfa_authenticator
SET data = data || jsonb_build_object('last_counter', %(counter)s::bigint), last_used_at = clock_timestamp()
WHERE id = %(id)s AND coalesce((data ->> 'last_counter')::bigint, -1) < %(counter)s
RETURNING id
