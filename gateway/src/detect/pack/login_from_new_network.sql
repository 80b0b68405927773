WITH logins AS (
  SELECT actor, event_time, source_ip_address,
         CASE WHEN position(':' IN source_ip_address) > 0
              THEN split_part(source_ip_address, ':', 1) || ':' || split_part(source_ip_address, ':', 2) || ':' || split_part(source_ip_address, ':', 3)
              ELSE split_part(source_ip_address, '.', 1) || '.' || split_part(source_ip_address, '.', 2) || '.' || split_part(source_ip_address, '.', 3)
         END AS network
  FROM system.access.audit
  WHERE action_name = 'login' AND status = 'success' AND source_ip_address IS NOT NULL),
seen AS (SELECT actor, network, min(event_time) AS first_seen, max(source_ip_address) AS an_address FROM logins GROUP BY actor, network),
known AS (SELECT actor, min(event_time) AS known_since FROM logins GROUP BY actor)
SELECT s.actor, s.first_seen AS first_event_time, s.first_seen AS last_event_time, s.an_address AS source_ip_address, s.network
FROM seen s JOIN known k ON k.actor = s.actor
WHERE s.first_seen > now() - interval '1 hour' AND k.known_since < s.first_seen - interval '1 day'
