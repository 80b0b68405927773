WITH logins AS (
  SELECT actor, event_time, source_ip_address, lag(event_time) OVER (PARTITION BY actor ORDER BY event_time) AS before
  FROM system.access.audit WHERE action_name = 'login' AND status = 'success')
SELECT actor, event_time AS first_event_time, event_time AS last_event_time, source_ip_address, before AS login_before
FROM logins
WHERE event_time > now() - interval '1 hour' AND before < event_time - interval '90 days'
