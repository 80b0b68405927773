WITH acts AS (
  SELECT executed_by AS actor, start_time AS at, source_ip_address,
         split_part(source_ip_address, '.', 1) || '.' || split_part(source_ip_address, '.', 2) || '.' || split_part(source_ip_address, '.', 3) AS network
  FROM system.query.history
  WHERE source_ip_address IS NOT NULL AND position(':' IN source_ip_address) = 0 AND start_time > now() - interval '1 hour'),
steps AS (
  SELECT actor, at, network, source_ip_address,
         lag(network) OVER (PARTITION BY actor ORDER BY at) AS network_before,
         lag(at) OVER (PARTITION BY actor ORDER BY at) AS at_before
  FROM acts)
SELECT actor, min(at_before) AS first_event_time, max(at) AS last_event_time, count(*) AS changes, max(source_ip_address) AS an_address
FROM steps
WHERE network_before IS NOT NULL AND network <> network_before AND at - at_before < interval '1 minute'
GROUP BY actor
