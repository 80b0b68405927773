SELECT c.object_name AS actor, min(c.event_time) AS first_event_time, max(d.event_time) AS last_event_time,
       max(c.actor) AS made_by, max(d.actor) AS dropped_by
FROM system.access.audit c
JOIN system.access.audit l ON l.actor = c.object_name AND l.action_name = 'login' AND l.status = 'success' AND l.event_time > c.event_time
JOIN system.access.audit d ON d.object_name = c.object_name AND d.action_name = 'drop_role' AND d.status = 'success' AND d.event_time > l.event_time
WHERE c.action_name = 'create_role' AND c.status = 'success'
GROUP BY c.object_name
