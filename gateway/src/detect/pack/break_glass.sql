SELECT actor, min(event_time) AS first_event_time, max(event_time) AS last_event_time, action_name, count(*) AS times
FROM system.access.audit
WHERE status = 'success' AND event_time > now() - interval '1 hour'
  AND (action_name = 'decrypt' OR action_name IN ('admin_user_add', 'admin_user_passwd', 'admin_restore'))
GROUP BY actor, action_name
