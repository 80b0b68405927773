SELECT s.actor, min(f.event_time) AS first_event_time, max(s.event_time) AS last_event_time,
       s.source_ip_address, count(DISTINCT f.event_id) AS failures_before
FROM system.access.audit s
JOIN system.access.audit f ON f.actor = s.actor AND f.source_ip_address = s.source_ip_address
     AND f.event_time < s.event_time AND f.event_time > s.event_time - interval '30 minutes'
WHERE s.action_name = 'login' AND s.status = 'success' AND s.event_time > now() - interval '1 hour'
  AND f.action_name = 'login' AND f.status = 'denied' AND f.sqlstate = '28P01'
GROUP BY s.actor, s.source_ip_address
HAVING count(DISTINCT f.event_id) >= 5
