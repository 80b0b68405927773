-- The predefined role of those who answer data subjects.
INSERT INTO roles (oid, name, superuser, login, create_db, create_role, inherit, connection_limit)
    SELECT 9003, 'lakegate_privacy', 0, 0, 0, 0, 1, -1
    WHERE NOT EXISTS (SELECT 1 FROM roles WHERE name = 'lakegate_privacy');

-- Requests of data subjects. subject_digest: keyed digests of the identifiers, in order, with commas between. sealed_subject: the
-- identifiers, for as long as the request is open. sealed_detail: what the requester wrote, and where files were written to.
CREATE TABLE privacy_requests (
    request_id TEXT PRIMARY KEY,
    subject_kind TEXT NOT NULL,
    subject_digest TEXT NOT NULL,
    action TEXT NOT NULL,
    state TEXT NOT NULL,
    tables_done BIGINT NOT NULL,
    tables_total BIGINT NOT NULL,
    requested_by_oid BIGINT NOT NULL,
    requested_by TEXT NOT NULL,
    requested_us BIGINT NOT NULL,
    deadline_us BIGINT NOT NULL,
    finished_us BIGINT,
    owner TEXT,
    owned_us BIGINT,
    progress TEXT NOT NULL,
    sealed_subject {BLOB},
    sealed_detail {BLOB} NOT NULL
);
CREATE INDEX privacy_requests_state ON privacy_requests (state);

-- One step a table. report: JSON without any identifier. sealed_keys: by which values rows of the table belong to the subjects, for as
-- long as the request is open.
CREATE TABLE privacy_steps (
    request_id TEXT NOT NULL REFERENCES privacy_requests (request_id) ON DELETE CASCADE,
    ordinal BIGINT NOT NULL,
    table_name TEXT NOT NULL,
    location TEXT NOT NULL,
    state TEXT NOT NULL,
    report TEXT NOT NULL,
    sealed_keys {BLOB},
    PRIMARY KEY (request_id, ordinal)
);

CREATE TABLE privacy_certificates (
    certificate_id TEXT PRIMARY KEY,
    request_id TEXT NOT NULL,
    issued_us BIGINT NOT NULL,
    residuals BIGINT NOT NULL,
    document TEXT NOT NULL,
    signature TEXT NOT NULL
);
CREATE INDEX privacy_certificates_request ON privacy_certificates (request_id);

-- Keys that certificates are signed with; the newest signs.
CREATE TABLE privacy_keys (
    key_id TEXT PRIMARY KEY,
    made_us BIGINT NOT NULL,
    public_key TEXT NOT NULL,
    sealed_key {BLOB} NOT NULL
);
