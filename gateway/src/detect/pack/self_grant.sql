SELECT actor, min(event_time) AS first_event_time, max(event_time) AS last_event_time, object_type, object_name, count(*) AS grants
FROM system.access.audit
WHERE action_name = 'grant' AND status = 'success' AND event_time > now() - interval '1 hour'
  AND (jsonb_exists(request_params -> 'grantees', actor) OR jsonb_exists(request_params -> 'members', actor))
GROUP BY actor, object_type, object_name
