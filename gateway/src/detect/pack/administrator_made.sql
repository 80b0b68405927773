SELECT actor, min(event_time) AS first_event_time, max(event_time) AS last_event_time, object_name AS role, count(*) AS changes
FROM system.access.audit
WHERE action_name IN ('create_role', 'alter_role') AND status = 'success' AND event_time > now() - interval '1 hour'
  AND (request_params ->> 'superuser' = 'true' OR request_params ->> 'createrole' = 'true' OR request_params ->> 'bypassrls' = 'true')
GROUP BY actor, object_name
