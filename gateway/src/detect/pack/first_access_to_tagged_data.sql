WITH reads AS (
  SELECT executed_by AS actor, start_time, unnest(tags_read) AS tag FROM system.query.history WHERE cardinality(tags_read) > 0),
firsts AS (SELECT actor, tag, min(start_time) AS first_read FROM reads GROUP BY actor, tag),
known AS (SELECT executed_by AS actor, min(start_time) AS known_since FROM system.query.history GROUP BY executed_by)
SELECT f.actor, f.first_read AS first_event_time, f.first_read AS last_event_time, f.tag
FROM firsts f JOIN known k ON k.actor = f.actor
WHERE f.first_read > now() - interval '1 hour' AND k.known_since < f.first_read - interval '7 days'
