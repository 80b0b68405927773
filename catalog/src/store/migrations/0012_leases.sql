-- Work that one process does for all: whoever's row it is, until then.
CREATE TABLE leases (name TEXT PRIMARY KEY, holder TEXT NOT NULL, until_us BIGINT NOT NULL);
-- Commits of several tables that stand, for transactions of other processes that have read one of the tables before.
CREATE TABLE commit_groups (group_id TEXT PRIMARY KEY, decided_us BIGINT NOT NULL, tables TEXT NOT NULL);
