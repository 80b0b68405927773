WITH logins AS (
  SELECT actor, event_time, source_ip_address, client_application,
         coalesce(client_application, '') ~* '^(psql|pgadmin|dbeaver|datagrip|beekeeper|tableplus|postico|usql|pgcli)' AS interactive
  FROM system.access.audit WHERE action_name = 'login' AND status = 'success'),
usual AS (
  SELECT actor, count(*) AS logins, count(*) FILTER (WHERE interactive) AS interactive, min(event_time) AS known_since
  FROM logins WHERE event_time <= now() - interval '1 hour' GROUP BY actor)
SELECT l.actor, min(l.event_time) AS first_event_time, max(l.event_time) AS last_event_time,
       max(l.client_application) AS client_application, max(l.source_ip_address) AS source_ip_address
FROM logins l JOIN usual u ON u.actor = l.actor
WHERE l.interactive AND l.event_time > now() - interval '1 hour' AND u.interactive = 0 AND u.logins >= 10
  AND u.known_since < now() - interval '7 days'
GROUP BY l.actor
