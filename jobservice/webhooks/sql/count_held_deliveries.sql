-- Deliveries claimed or under way. Index: delivery_held.
SELECT count(*) AS held FROM delivery_live WHERE state <> 'pending'
