-- Saved queries: whose they are and who may run them. Their texts are in the data plane, a row of a Delta table each, named by text_id.
CREATE TABLE saved_queries (
    query_id TEXT PRIMARY KEY,
    database_oid BIGINT NOT NULL,
    name TEXT NOT NULL,
    owner_oid BIGINT NOT NULL,
    version BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    UNIQUE (database_oid, name)
);

CREATE TABLE saved_query_versions (
    query_id TEXT NOT NULL REFERENCES saved_queries (query_id) ON DELETE CASCADE,
    version BIGINT NOT NULL,
    text_id TEXT NOT NULL,
    saved_by TEXT NOT NULL,
    saved_us BIGINT NOT NULL,
    PRIMARY KEY (query_id, version)
);

CREATE TABLE saved_query_shares (
    query_id TEXT NOT NULL REFERENCES saved_queries (query_id) ON DELETE CASCADE,
    role_oid BIGINT NOT NULL,
    PRIMARY KEY (query_id, role_oid)
);

-- Detections that statements wait for: one that finds something about a role stops what it runs.
ALTER TABLE detections ADD COLUMN guard BIGINT NOT NULL DEFAULT 0;

-- Which key makes the tokens of literals, where the administrator has turned the blind index on (one row), and the statements by token.
CREATE TABLE blind_index (id BIGINT PRIMARY KEY CHECK (id = 1), key_id TEXT NOT NULL, since_us BIGINT NOT NULL);
CREATE TABLE statement_literals (
    token {BLOB} NOT NULL,
    statement_id TEXT NOT NULL,
    PRIMARY KEY (token, statement_id)
);
CREATE INDEX statement_literals_statement ON statement_literals (statement_id);
