SELECT source_ip_address AS actor, min(event_time) AS first_event_time, max(event_time) AS last_event_time,
       count(*) AS failures, count(DISTINCT actor) AS roles
FROM system.access.audit
WHERE action_name = 'login' AND status = 'denied' AND sqlstate = '28P01' AND source_ip_address IS NOT NULL
  AND event_time > now() - interval '1 hour'
GROUP BY source_ip_address
HAVING count(*) >= 20
