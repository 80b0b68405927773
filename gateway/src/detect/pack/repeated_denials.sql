SELECT executed_by AS actor, min(start_time) AS first_event_time, max(start_time) AS last_event_time,
       count(*) AS denials, count(DISTINCT statement_fingerprint) AS statements
FROM system.query.history
WHERE sqlstate = '42501' AND start_time > now() - interval '1 hour'
GROUP BY executed_by
HAVING count(*) >= 10 AND count(DISTINCT statement_fingerprint) >= 3
