-- What the payloads of a type must keep to: JSON Schema 2020-12, in the clear; null is no rule. Checked before it is stored.
ALTER TABLE job_type
  ADD COLUMN payload_schema jsonb CHECK (jsonb_typeof(payload_schema) IN ('object', 'boolean'));
