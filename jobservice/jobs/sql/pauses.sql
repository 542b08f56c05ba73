-- Who paused a queue, and why.

ALTER TABLE queue
  -- As the audit log names who acts; null of a pause from before there was this.
  ADD COLUMN paused_by_type text,
  ADD COLUMN paused_by_id text,
  -- In the clear, as names of queues are, and gone with the pause.
  ADD COLUMN paused_reason text CHECK (length(paused_reason) <= 200),
  ADD CONSTRAINT queue_paused_by CHECK ((paused_by_type IS NULL) = (paused_by_id IS NULL)),
  ADD CONSTRAINT queue_pause_noted CHECK (
    paused_at IS NOT NULL OR (paused_by_type IS NULL AND paused_reason IS NULL));

-- Also when a process that does not know these columns resumes the queue: a later pause is not this person's.
CREATE FUNCTION forget_pause() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  NEW.paused_by_type := NULL;
  NEW.paused_by_id := NULL;
  NEW.paused_reason := NULL;
  RETURN NEW;
END $$;
CREATE TRIGGER queue_forgets_its_pause BEFORE UPDATE ON queue
  FOR EACH ROW WHEN (NEW.paused_at IS NULL) EXECUTE FUNCTION forget_pause();
