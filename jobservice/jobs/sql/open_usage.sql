-- A tenant's slots, when it is counted for the first time.
INSERT INTO tenant_usage (tenant_id, slot)
SELECT %(tenant)s, slot FROM generate_series(0, 15) AS part (slot) ORDER BY slot
ON CONFLICT DO NOTHING
