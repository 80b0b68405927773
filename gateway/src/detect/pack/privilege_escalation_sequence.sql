SELECT g.actor, min(g.event_time) AS first_event_time, max(r.event_time) AS last_event_time,
       max(g.object_name) AS granted, count(DISTINCT h.statement_id) AS statements
FROM system.access.audit g
JOIN system.access.audit r ON r.actor = g.actor AND r.action_name = 'revoke' AND r.status = 'success'
     AND r.event_time > g.event_time AND r.object_name = g.object_name
JOIN system.query.history h ON h.executed_by = g.actor AND h.start_time BETWEEN g.event_time AND r.event_time
WHERE g.action_name = 'grant' AND g.status = 'success' AND g.event_time > now() - interval '1 hour'
  AND (jsonb_exists(g.request_params -> 'grantees', g.actor) OR jsonb_exists(g.request_params -> 'members', g.actor))
  AND cardinality(h.tags_read) > 0
GROUP BY g.actor
