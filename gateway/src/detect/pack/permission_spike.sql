WITH changes AS (
  SELECT actor, event_time, date_trunc('hour', event_time) AS hour
  FROM system.access.audit
  WHERE action_name IN ('grant', 'revoke', 'alter_default_privileges', 'reassign_owned', 'create_policy', 'alter_policy', 'drop_policy')
    AND status = 'success'),
recent AS (
  SELECT actor, count(*) AS changes, min(event_time) AS first_event_time, max(event_time) AS last_event_time
  FROM changes WHERE event_time > now() - interval '1 hour' GROUP BY actor),
usual AS (
  SELECT actor, count(*) / count(DISTINCT hour) AS an_hour FROM changes WHERE event_time <= now() - interval '1 hour' GROUP BY actor)
SELECT r.actor, r.first_event_time, r.last_event_time, r.changes, coalesce(u.an_hour, 0) AS usual_changes
FROM recent r LEFT JOIN usual u ON u.actor = r.actor
WHERE r.changes >= 20 AND r.changes > 3 * coalesce(u.an_hour, 0)
