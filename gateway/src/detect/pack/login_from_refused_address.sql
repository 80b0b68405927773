SELECT source_ip_address AS actor, min(event_time) AS first_event_time, max(event_time) AS last_event_time,
       count(*) AS refusals, count(DISTINCT actor) AS roles
FROM system.access.audit
WHERE action_name = 'login' AND status = 'denied' AND sqlstate = '28000' AND event_time > now() - interval '1 hour'
GROUP BY source_ip_address
HAVING count(*) >= 3
