-- Bulk actions over the deliveries to one endpoint, which are sent again. Of such a one `max_jobs`, `last_job_id` and
-- `position` are about deliveries; the names stay, so that processes of before this change can go on.
ALTER TABLE bulk_action
  ADD COLUMN endpoint_id uuid,
  DROP CONSTRAINT bulk_action_action_check,
  ADD CONSTRAINT bulk_action_action_check CHECK (action IN ('cancel', 'retry', 'delete', 'replay')),
  ADD CONSTRAINT bulk_action_of_what CHECK ((action = 'replay') = (endpoint_id IS NOT NULL)),
  -- An endpoint is told of every queue: no key that is limited to some has a replay.
  ADD CONSTRAINT bulk_action_replay_queues CHECK (endpoint_id IS NULL OR queues IS NULL);
