-- Two more kinds of sealed values: what a run says of its progress, and its log. Both are bound to the claim.
ALTER TABLE blob
  DROP CONSTRAINT blob_kind_check,
  DROP CONSTRAINT blob_check,
  ADD CONSTRAINT blob_kind_check CHECK (
    kind IN ('payload', 'metadata', 'callback_url', 'result', 'error', 'response', 'progress', 'log')),
  ADD CONSTRAINT blob_epoch_check CHECK (
    (epoch IS NOT NULL) = (kind IN ('result', 'error', 'response', 'progress', 'log')));
