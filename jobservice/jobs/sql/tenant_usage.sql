-- What a tenant holds and uses, for the quotas of volume: transactional counters, moved by the transaction that moves
-- what they count. See jobservice/jobs/usage.py.

CREATE TABLE tenant_usage (
  tenant_id uuid NOT NULL REFERENCES tenant (id),
  -- The tenant's numbers are the sums over its slots, so that those who count at once seldom wait for each other. One
  -- slot alone means nothing: a job may be counted in one and uncounted in another, whose number is then below zero.
  slot smallint NOT NULL CHECK (slot BETWEEN 0 AND 15),
  open_jobs bigint NOT NULL DEFAULT 0,
  stored_bytes bigint NOT NULL DEFAULT 0,
  -- Accepted on this day of UTC; of an earlier day it says nothing any more.
  day date NOT NULL DEFAULT '1970-01-01',
  jobs_of_day bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (tenant_id, slot)
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

CREATE FUNCTION usage_share(allowed bigint, slot integer) RETURNS bigint
-- A slot's part of a limit; the parts of all slots are the limit. Null of no limit.
LANGUAGE sql IMMUTABLE AS $$ SELECT allowed / 16 + (slot < allowed % 16)::integer $$;
GRANT EXECUTE ON FUNCTION usage_share TO {web};

CREATE FUNCTION take_room(
  tenant uuid, own_slot smallint, more_jobs bigint, more_bytes bigint, more_of_day bigint,
  max_jobs bigint, max_bytes bigint, max_of_day bigint
) RETURNS boolean
-- Count what is new in one slot, if it stays within the slot's part of each limit and no other slot is beyond its own.
-- A function for its block: whoever waited for the row and then finds no room in it, would hold it still, and must not
-- when it goes on to lock all slots in their order (lock_usage.sql). The end of the block gives it back.
-- Index: tenant_usage_pkey.
LANGUAGE plpgsql AS $$
DECLARE today CONSTANT date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
BEGIN
  UPDATE tenant_usage AS mine
  SET open_jobs = mine.open_jobs + more_jobs, stored_bytes = mine.stored_bytes + more_bytes,
      jobs_of_day = CASE WHEN mine.day >= today THEN mine.jobs_of_day ELSE 0 END + more_of_day,
      day = greatest(mine.day, today)
  WHERE mine.tenant_id = tenant AND mine.slot = own_slot
    AND (mine.open_jobs + more_jobs <= usage_share(max_jobs, mine.slot)) IS NOT FALSE
    AND (mine.stored_bytes + more_bytes <= usage_share(max_bytes, mine.slot)) IS NOT FALSE
    AND (CASE WHEN mine.day >= today THEN mine.jobs_of_day ELSE 0 END + more_of_day
         <= usage_share(max_of_day, mine.slot)) IS NOT FALSE
    AND NOT EXISTS (
      SELECT FROM tenant_usage AS other
      WHERE other.tenant_id = tenant
        AND (other.open_jobs > usage_share(max_jobs, other.slot)
             OR other.stored_bytes > usage_share(max_bytes, other.slot)
             OR other.day >= today AND other.jobs_of_day > usage_share(max_of_day, other.slot)));
  IF NOT FOUND THEN
    RAISE EXCEPTION 'no room in this slot' USING ERRCODE = 'JSROO';
  END IF;
  RETURN true;
EXCEPTION WHEN SQLSTATE 'JSROO' THEN
  RETURN false;
END $$;
REVOKE ALL ON FUNCTION take_room FROM PUBLIC;
GRANT EXECUTE ON FUNCTION take_room TO {web};

-- What is there already. The owner, whom the policies bind as well, sees every tenant's rows for this one statement.
ALTER TABLE job_live NO FORCE ROW LEVEL SECURITY;
ALTER TABLE blob NO FORCE ROW LEVEL SECURITY;
ALTER TABLE tenant NO FORCE ROW LEVEL SECURITY;
INSERT INTO tenant_usage (tenant_id, slot, open_jobs, stored_bytes)
SELECT tenant.id, part.slot,
       CASE WHEN part.slot = 0 THEN (SELECT count(*) FROM job_live WHERE job_live.tenant_id = tenant.id) ELSE 0 END,
       CASE WHEN part.slot = 0 THEN (
         SELECT coalesce(sum(octet_length(sealed)), 0) FROM blob
         WHERE blob.tenant_id = tenant.id AND kind IN ('payload', 'metadata', 'callback_url', 'result', 'error')) ELSE 0 END
FROM tenant CROSS JOIN generate_series(0, 15) AS part (slot)
WHERE tenant.status <> 'erased';
ALTER TABLE job_live FORCE ROW LEVEL SECURITY;
ALTER TABLE blob FORCE ROW LEVEL SECURITY;
ALTER TABLE tenant FORCE ROW LEVEL SECURITY;
