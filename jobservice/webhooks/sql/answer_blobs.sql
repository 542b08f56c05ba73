-- One more kind of sealed values: the beginning of what a receiver answered to a delivery. It belongs to a try, not to a
-- claim of a job, so it has no epoch.
ALTER TABLE blob
  DROP CONSTRAINT blob_kind_check,
  ADD CONSTRAINT blob_kind_check CHECK (
    kind IN ('payload', 'metadata', 'callback_url', 'result', 'error', 'response', 'progress', 'log', 'answer'));
