-- Count a try under a key; a row comes back if there was one left. Index: login_throttle_pkey.
-- The generic cell rate algorithm: a try uses up `seconds`, and at most `whole` seconds may be used up ahead of now. One
-- statement, so that parallel tries follow one another at the row, and one key, so that none waits in a circle.
INSERT INTO login_throttle AS throttle (key, used_until)
VALUES (%(key)s::text, clock_timestamp() + make_interval(secs => %(seconds)s::float8))
ON CONFLICT (key) DO UPDATE
SET used_until = greatest(throttle.used_until, clock_timestamp()) + make_interval(secs => %(seconds)s::float8)
WHERE throttle.used_until <= clock_timestamp() + make_interval(secs => %(whole)s::float8 - %(seconds)s::float8)
RETURNING throttle.key
