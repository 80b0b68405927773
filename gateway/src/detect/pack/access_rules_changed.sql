WITH starts AS (
  SELECT event_time, request_params ->> 'access' AS access, lag(request_params ->> 'access') OVER (ORDER BY event_time) AS before
  FROM system.access.audit WHERE action_name = 'server_start')
SELECT 'server' AS actor, event_time AS first_event_time, event_time AS last_event_time, access, before
FROM starts
WHERE before IS NOT NULL AND access <> before AND event_time > now() - interval '1 hour'
UNION ALL
SELECT actor, event_time, event_time, action_name, object_name
FROM system.access.audit
WHERE action_name IN ('create_external_location', 'drop_external_location') AND status = 'success' AND event_time > now() - interval '1 hour'
