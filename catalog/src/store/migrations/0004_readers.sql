-- Processes, each with the moment since when one of its statements or transactions may read: files that left a table later are kept.
CREATE TABLE readers (process TEXT PRIMARY KEY, told_us BIGINT NOT NULL, oldest_us BIGINT NOT NULL);
