-- Chains of records: one a life of a process. follows: JSON list of the tips of other chains when it began; size and link: its own tip,
-- written with the records that it counts.
CREATE TABLE log_chains (
    chain TEXT PRIMARY KEY,
    process TEXT NOT NULL,
    started_us BIGINT NOT NULL,
    follows TEXT NOT NULL,
    size BIGINT NOT NULL,
    link {BLOB} NOT NULL
);
CREATE INDEX log_chains_started ON log_chains (started_us);

-- Signed heads. head: the text that is signed.
CREATE TABLE log_heads (
    chain TEXT NOT NULL,
    size BIGINT NOT NULL,
    time_us BIGINT NOT NULL,
    head TEXT NOT NULL,
    signature {BLOB} NOT NULL
);
CREATE INDEX log_heads_chain ON log_heads (chain, size);

-- Where a record stands in a chain: the start of a statement and its end are records of their own, so nothing of the start is written over.
ALTER TABLE statements ADD COLUMN start_chain TEXT;
ALTER TABLE statements ADD COLUMN start_seq BIGINT;
ALTER TABLE statements ADD COLUMN start_link {BLOB};
ALTER TABLE statements ADD COLUMN end_chain TEXT;
ALTER TABLE statements ADD COLUMN end_seq BIGINT;
ALTER TABLE statements ADD COLUMN end_link {BLOB};
ALTER TABLE audit_events ADD COLUMN chain TEXT;
ALTER TABLE audit_events ADD COLUMN seq BIGINT;
ALTER TABLE audit_events ADD COLUMN link {BLOB};

-- What became known only on the way, in place of the start's. JSON lists, NULL where nothing did.
ALTER TABLE statements ADD COLUMN ended_engine TEXT;
ALTER TABLE statements ADD COLUMN ended_tables_read TEXT;
ALTER TABLE statements ADD COLUMN ended_tables_written TEXT;
ALTER TABLE statements ADD COLUMN ended_columns_read TEXT;
ALTER TABLE statements ADD COLUMN ended_tags_read TEXT;

-- More facets, known at the start.
ALTER TABLE statements ADD COLUMN columns_written TEXT NOT NULL DEFAULT '[]';
ALTER TABLE statements ADD COLUMN functions TEXT NOT NULL DEFAULT '[]';
ALTER TABLE statements ADD COLUMN auth_method TEXT;
ALTER TABLE statements ADD COLUMN tls_version TEXT;

-- SHA-256 of what is sealed, as it was first written: a text can be erased, and its record stays. erased_by: the audit event of that.
ALTER TABLE statements ADD COLUMN statement_digest {BLOB};
ALTER TABLE statements ADD COLUMN error_digest {BLOB};
ALTER TABLE statements ADD COLUMN erased_by TEXT;
ALTER TABLE audit_events ADD COLUMN detail_digest {BLOB};
ALTER TABLE audit_events ADD COLUMN erased_by TEXT;
