-- A lane that turns active starts at the virtual time of its pool: an idle lane saves up no turns.
-- Locked in id order, so that two activations of the same lanes cannot block each other.
WITH asleep AS MATERIALIZED (
  SELECT id FROM lane WHERE id = ANY (%(lanes)s) AND NOT is_active ORDER BY id FOR NO KEY UPDATE
)
UPDATE lane
SET is_active = true, vtime = greatest(lane.vtime, pool.vtime)
FROM asleep, pool
WHERE lane.id = asleep.id AND pool.name = lane.pool
