-- Integers are BIGINT, times microseconds since the epoch, flags 0 and 1; both back ends read the same text.
CREATE TABLE catalog_state (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    version BIGINT NOT NULL,
    next_oid BIGINT NOT NULL
);
INSERT INTO catalog_state (id, version, next_oid) VALUES (1, 0, 16384);

CREATE TABLE roles (
    oid BIGINT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    superuser BIGINT NOT NULL,
    login BIGINT NOT NULL,
    create_db BIGINT NOT NULL,
    create_role BIGINT NOT NULL,
    inherit BIGINT NOT NULL,
    connection_limit BIGINT NOT NULL,
    valid_until BIGINT,
    password {BLOB}
);

CREATE TABLE memberships (
    role_oid BIGINT NOT NULL REFERENCES roles (oid) ON DELETE CASCADE,
    member_oid BIGINT NOT NULL REFERENCES roles (oid) ON DELETE CASCADE,
    admin_option BIGINT NOT NULL,
    PRIMARY KEY (role_oid, member_oid)
);
CREATE INDEX memberships_member ON memberships (member_oid);

CREATE TABLE databases (
    oid BIGINT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    owner_oid BIGINT NOT NULL REFERENCES roles (oid),
    comment_text TEXT
);

CREATE TABLE schemas (
    oid BIGINT PRIMARY KEY,
    database_oid BIGINT NOT NULL REFERENCES databases (oid),
    name TEXT NOT NULL,
    owner_oid BIGINT NOT NULL REFERENCES roles (oid),
    comment_text TEXT,
    UNIQUE (database_oid, name)
);

-- document: columns, partition columns, constraints, definition, comment and properties as JSON.
CREATE TABLE relations (
    oid BIGINT PRIMARY KEY,
    type_oid BIGINT NOT NULL UNIQUE,
    schema_oid BIGINT NOT NULL REFERENCES schemas (oid),
    name TEXT NOT NULL,
    owner_oid BIGINT NOT NULL REFERENCES roles (oid),
    kind TEXT NOT NULL,
    location TEXT NOT NULL,
    document TEXT NOT NULL,
    UNIQUE (schema_oid, name)
);

CREATE TABLE external_locations (
    oid BIGINT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    url TEXT NOT NULL UNIQUE,
    owner_oid BIGINT NOT NULL REFERENCES roles (oid)
);

-- No row: the default of the object's kind. items: JSON.
CREATE TABLE acls (
    object_kind TEXT NOT NULL,
    object_oid BIGINT NOT NULL,
    items TEXT NOT NULL,
    PRIMARY KEY (object_kind, object_oid)
);

CREATE TABLE data_keys (
    key_id TEXT PRIMARY KEY,
    purpose TEXT NOT NULL,
    key_day TEXT NOT NULL,
    wrapped {BLOB} NOT NULL,
    UNIQUE (purpose, key_day)
);

-- sealed_statement: text, parameters and tags; sealed_error: the message. No clear column holds a literal.
CREATE TABLE statements (
    statement_id TEXT PRIMARY KEY,
    writer TEXT NOT NULL,
    process TEXT NOT NULL,
    session_id TEXT NOT NULL,
    statement_type TEXT NOT NULL,
    execution_status TEXT NOT NULL,
    executed_by_oid BIGINT NOT NULL,
    executed_by TEXT NOT NULL,
    executed_as TEXT NOT NULL,
    client_application TEXT,
    client_driver TEXT,
    source_ip_address TEXT,
    database_name TEXT NOT NULL,
    warehouse TEXT,
    engine TEXT,
    statement_fingerprint TEXT,
    sqlstate TEXT,
    start_time BIGINT NOT NULL,
    end_time BIGINT,
    waiting_at_capacity_duration_ms BIGINT,
    compilation_duration_ms BIGINT,
    execution_duration_ms BIGINT,
    result_fetch_duration_ms BIGINT,
    read_files BIGINT,
    pruned_files BIGINT,
    read_bytes BIGINT,
    read_rows BIGINT,
    read_io_cache_percent BIGINT,
    from_result_cache BIGINT,
    cache_origin_statement_id TEXT,
    produced_rows BIGINT,
    written_rows BIGINT,
    written_bytes BIGINT,
    written_files BIGINT,
    spilled_local_bytes BIGINT,
    tables_read TEXT NOT NULL,
    tables_written TEXT NOT NULL,
    columns_read TEXT NOT NULL,
    tags_read TEXT NOT NULL,
    key_id TEXT NOT NULL,
    sealed_statement {BLOB} NOT NULL,
    sealed_error {BLOB}
);
CREATE INDEX statements_start ON statements (start_time);
CREATE INDEX statements_role ON statements (executed_by_oid, start_time);
CREATE INDEX statements_running ON statements (writer, process) WHERE execution_status = 'RUNNING';

-- sealed_detail: request parameters and the error message.
CREATE TABLE audit_events (
    event_id TEXT PRIMARY KEY,
    event_time BIGINT NOT NULL,
    actor_oid BIGINT NOT NULL,
    actor TEXT NOT NULL,
    run_as TEXT NOT NULL,
    source_ip_address TEXT,
    session_id TEXT,
    client_application TEXT,
    auth_method TEXT,
    service_name TEXT NOT NULL,
    action_name TEXT NOT NULL,
    object_type TEXT,
    object_name TEXT,
    status TEXT NOT NULL,
    sqlstate TEXT,
    rows_affected BIGINT,
    statement_id TEXT,
    key_id TEXT NOT NULL,
    sealed_detail {BLOB} NOT NULL
);
CREATE INDEX audit_events_time ON audit_events (event_time);
CREATE INDEX audit_events_actor ON audit_events (actor_oid, event_time);
