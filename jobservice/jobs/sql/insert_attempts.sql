-- One row per run, written when it ends.
INSERT INTO attempt (tenant_id, job_id, epoch, id, number, worker_id, started_at, finished_at, outcome, error_code,
                     error_id, result_id, progress_percent, progress_id, log_id)
SELECT * FROM unnest(
  %(tenants)s::uuid[], %(jobs)s::uuid[], %(epochs)s::bigint[], %(ids)s::uuid[], %(numbers)s::integer[],
  %(workers)s::uuid[], %(started)s::timestamptz[], %(finished)s::timestamptz[], %(outcomes)s::text[],
  %(error_codes)s::text[], %(errors)s::uuid[], %(results)s::uuid[], %(percents)s::real[], %(progress)s::uuid[],
  %(logs)s::uuid[])
