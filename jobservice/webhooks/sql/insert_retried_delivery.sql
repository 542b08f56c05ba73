-- retry: the live row of a delivery that was over, due now. Its epoch is above every one before, so that no worker of an
-- earlier claim writes; its tries are counted on, and the schedule begins anew after them.
-- Index: delivery_attempt_of_delivery, for deliveries that ended before they kept how far they came.
INSERT INTO delivery_live (delivery_id, tenant_id, endpoint_id, state, epoch, attempt, earlier_attempts)
SELECT %(delivery)s, %(tenant)s, %(endpoint)s, %(state)s, coalesce(%(epoch)s::bigint, 0) + 1, past.attempts, past.attempts
FROM (
  SELECT coalesce(%(attempts)s::integer,
                  (SELECT max(number) FROM delivery_attempt WHERE tenant_id = %(tenant)s AND delivery_id = %(delivery)s),
                  0) AS attempts
) AS past
