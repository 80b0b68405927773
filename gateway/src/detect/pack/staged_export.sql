SELECT c.executed_by AS actor, min(s.start_time) AS first_event_time, max(c.start_time) AS last_event_time,
       max(array_to_string(s.tables_written, ', ')) AS staged, max(array_to_string(s.tags_read, ', ')) AS tags
FROM system.query.history s
JOIN system.query.history c ON c.executed_by = s.executed_by AND c.start_time > s.start_time
WHERE s.statement_type IN ('CREATE TABLE AS', 'INSERT', 'SELECT') AND cardinality(s.tables_written) > 0 AND cardinality(s.tags_read) > 0
  AND c.statement_type = 'COPY' AND c.tables_read && s.tables_written AND coalesce(c.produced_rows, 0) > 0
GROUP BY c.executed_by
