SELECT actor, min(event_time) AS first_event_time, max(event_time) AS last_event_time,
       count(DISTINCT split_part(source_ip_address, '.', 1) || '.' || split_part(source_ip_address, '.', 2)) AS networks, count(*) AS logins
FROM system.access.audit
WHERE action_name = 'login' AND status = 'success' AND source_ip_address IS NOT NULL AND position(':' IN source_ip_address) = 0
  AND event_time > now() - interval '1 hour'
GROUP BY actor
HAVING count(DISTINCT split_part(source_ip_address, '.', 1) || '.' || split_part(source_ip_address, '.', 2)) >= 3
