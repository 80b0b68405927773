WITH unloads AS (
  SELECT actor, event_time, object_name FROM system.access.audit
  WHERE action_name = 'export' AND object_type = 'external location' AND status = 'success')
SELECT u.actor, min(u.event_time) AS first_event_time, max(u.event_time) AS last_event_time, u.object_name AS location
FROM unloads u
WHERE u.event_time > now() - interval '1 hour'
  AND NOT EXISTS (SELECT 1 FROM unloads b WHERE b.object_name = u.object_name AND b.event_time <= now() - interval '1 hour')
GROUP BY u.actor, u.object_name
