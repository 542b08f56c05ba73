-- What the whole life of a job needs besides the first tables: deadlines to start, cancels, reports of a run, ends that
-- come later, crashes that end a job, and types that are switched off.

ALTER TABLE job
  -- What a crash of its worker means: run again (three times at the most), or no more.
  ADD COLUMN on_crash text NOT NULL DEFAULT 'retry' CHECK (on_crash IN ('retry', 'discard')),
  -- Each retry by a person leaves a try, also after the hundred that a submission may ask for.
  DROP CONSTRAINT job_max_attempts_check,
  ADD CONSTRAINT job_max_attempts_check CHECK (max_attempts >= 1);

ALTER TABLE job_live
  -- Not started by then: cancelled. It counts for the first start only.
  ADD COLUMN start_deadline_at timestamptz,
  -- The endpoint took the job and will complete it later: no worker of ours holds it, its lease is the whole attempt.
  ADD COLUMN is_async boolean NOT NULL DEFAULT false,
  -- What the run under way reports; the texts are sealed values, bound to its epoch, that its attempt keeps.
  ADD COLUMN progress_percent real CHECK (progress_percent BETWEEN 0 AND 100),
  ADD COLUMN progress_id uuid,
  ADD COLUMN log_id uuid,
  -- Only a run can be asked to stop, report, or end later; all of it goes with the run.
  ADD CONSTRAINT job_live_cancel_of_run CHECK (state = 'executing' OR NOT cancel_requested),
  ADD CONSTRAINT job_live_async_run CHECK (state = 'executing' OR NOT is_async),
  ADD CONSTRAINT job_live_report_of_run CHECK (
    state = 'executing' OR (progress_percent IS NULL AND progress_id IS NULL AND log_id IS NULL)),
  ADD CONSTRAINT job_live_start_of_run CHECK ((state = 'executing') = (started_at IS NOT NULL)),
  ADD CONSTRAINT job_live_counts CHECK (attempt >= 0 AND crash_count >= 0 AND crash_count <= attempt AND epoch >= 0);
UPDATE job_live SET suspended_reason = 'crashes' WHERE suspended_reason IS NOT NULL;
ALTER TABLE job_live
  -- crashes: quarantined after the third; type-disabled: until its type is switched on again.
  ADD CONSTRAINT job_live_suspended_reason CHECK (suspended_reason IN ('crashes', 'type-disabled'));
CREATE INDEX job_start_deadline ON job_live (start_deadline_at, job_id)
  WHERE start_deadline_at IS NOT NULL AND first_started_at IS NULL;  -- lock_expired_jobs.sql
CREATE INDEX job_suspended ON job_live (tenant_id, type, job_id) WHERE state = 'suspended';  -- resume_held_jobs.sql

ALTER TABLE attempt
  ADD COLUMN progress_percent real,
  ADD COLUMN progress_id uuid,
  ADD COLUMN log_id uuid;

ALTER TABLE job_type
  -- Switched off by its endpoint's 410, until somebody writes the type again.
  ADD COLUMN disabled_at timestamptz,
  ADD COLUMN disabled_reason text,
  ADD CONSTRAINT job_type_disabled CHECK ((disabled_at IS NULL) = (disabled_reason IS NULL));
-- The dispatcher lets the jobs of a type go on that was switched on again: it sees which types are off, and no more.
CREATE POLICY all_tenants ON job_type TO {dispatcher} USING (true) WITH CHECK (true);
