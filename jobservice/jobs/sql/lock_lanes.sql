-- Shares the lanes with other accepts and with claims, but not with a deactivation, which waits its turn or skips.
SELECT id, is_active FROM lane WHERE id = ANY (%(lanes)s) ORDER BY id FOR KEY SHARE
