-- A job whose own run cancelled it may say why: the reason is sealed like an error's text.
ALTER TABLE job
  DROP CONSTRAINT job_error,
  ADD CONSTRAINT job_error CHECK (
    (error_id IS NULL) = (error_epoch IS NULL)
    AND (error_id IS NULL OR final_state = 'discarded'
         OR (final_state = 'cancelled' AND error_code = 'cancelled' AND attempt >= 1)));
