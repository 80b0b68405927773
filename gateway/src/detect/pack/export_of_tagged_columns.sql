SELECT executed_by AS actor, min(start_time) AS first_event_time, max(start_time) AS last_event_time,
       count(*) AS exports, sum(produced_rows) AS row_count, max(array_to_string(tags_read, ', ')) AS tags
FROM system.query.history
WHERE statement_type = 'COPY' AND cardinality(tags_read) > 0 AND coalesce(produced_rows, 0) > 0 AND start_time > now() - interval '1 hour'
GROUP BY executed_by
