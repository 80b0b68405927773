WITH reads AS (
  SELECT executed_by AS actor, start_time, session_id, client_application, unnest(tables_read) AS relation
  FROM system.query.history
  WHERE start_time > now() - interval '10 minutes'
    AND coalesce(client_application, '') !~* '(pgadmin|dbeaver|datagrip|tableau|power ?bi|metabase|superset|dbt|looker|psql|lakegate|pg_dump|jdbc)')
SELECT actor, min(start_time) AS first_event_time, max(start_time) AS last_event_time,
       count(*) AS reads, count(DISTINCT relation) AS relations, max(client_application) AS client_application
FROM reads
WHERE relation LIKE '%.pg_catalog.%' OR relation LIKE '%.information_schema.%'
GROUP BY actor
HAVING count(DISTINCT relation) >= 8 AND count(*) >= 40
