-- Rules over the logs. every_s, window_s (0: all there is), suppress_s in seconds; language sql or sigma; source pack, user or file.
CREATE TABLE detections (
    name TEXT PRIMARY KEY,
    severity TEXT NOT NULL,
    every_s BIGINT NOT NULL,
    window_s BIGINT NOT NULL,
    threshold BIGINT NOT NULL,
    suppress_s BIGINT NOT NULL,
    definition TEXT NOT NULL,
    language TEXT NOT NULL,
    source TEXT NOT NULL,
    enabled BIGINT NOT NULL,
    owner_oid BIGINT NOT NULL,
    comment_text TEXT,
    last_run_us BIGINT,
    last_error TEXT
);

-- sealed_evidence: rows as JSON. webhook: due, sent, failed, or none where there is no webhook.
CREATE TABLE findings (
    finding_id TEXT PRIMARY KEY,
    detection TEXT NOT NULL,
    severity TEXT NOT NULL,
    actor TEXT NOT NULL,
    first_event_us BIGINT,
    last_event_us BIGINT,
    found_us BIGINT NOT NULL,
    key_id TEXT NOT NULL,
    sealed_evidence {BLOB} NOT NULL,
    state TEXT NOT NULL,
    webhook TEXT NOT NULL,
    webhook_attempts BIGINT NOT NULL,
    webhook_due_us BIGINT NOT NULL
);
CREATE INDEX findings_of ON findings (detection, actor, found_us);
CREATE INDEX findings_webhook ON findings (webhook_due_us) WHERE webhook = 'due';

-- The process that runs the rules, until when.
CREATE TABLE detector (id BIGINT PRIMARY KEY CHECK (id = 1), process TEXT NOT NULL, until_us BIGINT NOT NULL);
INSERT INTO detector (id, process, until_us) VALUES (1, '', 0);
