-- Records whose facets are in the data plane. What stays: what is sealed, what erasures look by, and the leaf and link that prove the record.
-- expired_by: the audit event of the end of its time; what was sealed is gone then.
CREATE TABLE flushed_statements (
    statement_id TEXT PRIMARY KEY,
    executed_by_oid BIGINT NOT NULL,
    start_time BIGINT NOT NULL,
    tables TEXT NOT NULL,
    key_id TEXT NOT NULL,
    sealed_statement {BLOB},
    sealed_error {BLOB},
    statement_digest {BLOB},
    error_digest {BLOB},
    erased_by TEXT,
    expired_by TEXT,
    start_chain TEXT,
    start_seq BIGINT,
    start_link {BLOB},
    start_leaf {BLOB},
    end_chain TEXT,
    end_seq BIGINT,
    end_link {BLOB},
    end_leaf {BLOB}
);
CREATE INDEX flushed_statements_time ON flushed_statements (start_time);
CREATE INDEX flushed_statements_start ON flushed_statements (start_chain, start_seq);
CREATE INDEX flushed_statements_end ON flushed_statements (end_chain, end_seq);

CREATE TABLE flushed_events (
    event_id TEXT PRIMARY KEY,
    actor_oid BIGINT NOT NULL,
    event_time BIGINT NOT NULL,
    action_name TEXT NOT NULL,
    object_name TEXT,
    key_id TEXT NOT NULL,
    sealed_detail {BLOB},
    detail_digest {BLOB},
    erased_by TEXT,
    expired_by TEXT,
    chain TEXT,
    seq BIGINT,
    link {BLOB},
    leaf {BLOB}
);
CREATE INDEX flushed_events_time ON flushed_events (event_time);
CREATE INDEX flushed_events_chain ON flushed_events (chain, seq);

-- The version at which readers open each of the Delta tables: what a process that died has committed past it was never there. It moves
-- in the transaction that takes the records away from here.
CREATE TABLE flushed_logs (log TEXT PRIMARY KEY, visible_version BIGINT NOT NULL);
