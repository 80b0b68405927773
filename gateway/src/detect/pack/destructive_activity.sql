SELECT executed_by AS actor, min(start_time) AS first_event_time, max(start_time) AS last_event_time, count(*) AS statements,
       count(DISTINCT statement_type) AS kinds
FROM system.query.history
WHERE start_time > now() - interval '10 minutes' AND execution_status = 'FINISHED'
  AND (statement_type IN ('DROP TABLE', 'DROP SCHEMA', 'DROP DATABASE', 'TRUNCATE', 'DROP MATERIALIZED VIEW', 'DROP OWNED')
       OR statement_type = 'DELETE' AND cardinality(columns_read) = 0)
  AND array_to_string(tables_written, ' ') NOT LIKE '%.pg_temp%'
GROUP BY executed_by
HAVING count(*) >= 5
