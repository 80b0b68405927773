WITH days AS (
  SELECT executed_by AS actor, date_trunc('day', start_time) AS day, sum(produced_rows) AS row_count
  FROM system.query.history
  WHERE start_time <= now() - interval '1 day' AND produced_rows IS NOT NULL AND cardinality(tables_read) > 0
  GROUP BY executed_by, date_trunc('day', start_time)),
usual AS (SELECT actor, avg(row_count) AS average, coalesce(stddev_samp(row_count), 0) AS deviation, count(*) AS days FROM days GROUP BY actor),
today AS (
  SELECT executed_by AS actor, sum(produced_rows) AS row_count, min(start_time) AS first_event_time, max(start_time) AS last_event_time
  FROM system.query.history
  WHERE start_time > now() - interval '1 day' AND cardinality(tables_read) > 0
  GROUP BY executed_by)
SELECT t.actor, t.first_event_time, t.last_event_time, t.row_count AS rows_today, u.average AS usual_rows
FROM today t JOIN usual u ON u.actor = t.actor
WHERE u.days >= 3 AND t.row_count >= 10000 AND t.row_count > u.average + 3 * u.deviation AND t.row_count > 2 * u.average
