-- Sequences, and where they stand.
SELECT n.nspname AS schemaname, c.relname AS sequencename, o.rolname AS sequenceowner, s.seqtypid::regtype AS data_type,
    s.seqstart AS start_value, s.seqmin AS min_value, s.seqmax AS max_value, s.seqincrement AS increment_by, s.seqcycle AS cycle,
    s.seqcache AS cache_size, pg_catalog.pg_sequence_last_value(c.oid) AS last_value
FROM pg_catalog.pg_sequence AS s
JOIN pg_catalog.pg_class AS c ON c.oid = s.seqrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_authid AS o ON o.oid = c.relowner
