-- Deliveries claimed or under way. Index: delivery_leased.
SELECT count(*) AS held FROM delivery_live WHERE state IN ('dispatched', 'delivering')
