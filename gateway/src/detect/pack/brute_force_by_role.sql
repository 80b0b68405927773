SELECT actor, min(event_time) AS first_event_time, max(event_time) AS last_event_time,
       count(*) AS failures, count(DISTINCT source_ip_address) AS addresses, max(source_ip_address) AS an_address
FROM system.access.audit
WHERE action_name = 'login' AND status = 'denied' AND sqlstate = '28P01' AND event_time > now() - interval '1 hour'
GROUP BY actor
HAVING count(*) >= 10
