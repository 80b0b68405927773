SELECT actor, min(event_time) AS first_event_time, max(event_time) AS last_event_time, action_name, max(object_name) AS object_name, count(*) AS changes
FROM system.access.audit
WHERE action_name IN ('destroy_keys', 'rotate_keys', 'alter_detection', 'drop_detection', 'admin_keys_rotate', 'admin_restore')
  AND status = 'success' AND event_time > now() - interval '1 hour'
GROUP BY actor, action_name
