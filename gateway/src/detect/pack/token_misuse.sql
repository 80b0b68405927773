SELECT actor, min(event_time) AS first_event_time, max(event_time) AS last_event_time, count(*) AS tokens,
       count(*) FILTER (WHERE request_params ->> 'long_lived' = 'true') AS long_lived
FROM system.access.audit
WHERE action_name = 'create_token' AND status = 'success' AND event_time > now() - interval '1 hour'
GROUP BY actor
HAVING count(*) >= 10 OR count(*) FILTER (WHERE request_params ->> 'long_lived' = 'true') > 0
