-- A delivery of one event to one endpoint, whatever the endpoint wants to be told of and whether it is enabled.
WITH made AS (
  INSERT INTO delivery (id, tenant_id, event_id, endpoint_id)
  VALUES (%(id)s, %(tenant)s, %(event)s, %(endpoint)s)
)
INSERT INTO delivery_live (delivery_id, tenant_id, endpoint_id) VALUES (%(id)s, %(tenant)s, %(endpoint)s)
