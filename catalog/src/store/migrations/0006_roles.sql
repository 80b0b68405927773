-- Attributes and settings of roles, default privileges, tokens in a password's place.
ALTER TABLE roles ADD COLUMN bypass_rls BIGINT NOT NULL DEFAULT 0;
ALTER TABLE memberships ADD COLUMN grantor_oid BIGINT NOT NULL DEFAULT 10;
ALTER TABLE databases ADD COLUMN connection_limit BIGINT NOT NULL DEFAULT -1;

-- ALTER ROLE, ALTER DATABASE … SET; 0: all databases, all roles. settings: JSON list of name and value.
CREATE TABLE role_settings (
    database_oid BIGINT NOT NULL,
    role_oid BIGINT NOT NULL,
    settings TEXT NOT NULL,
    PRIMARY KEY (database_oid, role_oid)
);

-- ALTER DEFAULT PRIVILEGES. schema_oid 0: in all schemas; object_kind as in pg_default_acl; items: JSON, as in acls.
CREATE TABLE default_acls (
    oid BIGINT PRIMARY KEY,
    database_oid BIGINT NOT NULL,
    role_oid BIGINT NOT NULL,
    schema_oid BIGINT NOT NULL,
    object_kind TEXT NOT NULL,
    items TEXT NOT NULL,
    UNIQUE (database_oid, role_oid, schema_oid, object_kind)
);

-- digest: of the token, which is stored nowhere. Times in microseconds since the epoch.
CREATE TABLE tokens (
    token_id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    role_oid BIGINT NOT NULL,
    digest {BLOB} NOT NULL UNIQUE,
    created_us BIGINT NOT NULL,
    created_by BIGINT NOT NULL,
    expires_us BIGINT,
    last_used_us BIGINT,
    UNIQUE (role_oid, name)
);

-- PostgreSQL's predefined roles that mean something here, under its numbers.
INSERT INTO roles (oid, name, superuser, login, create_db, create_role, inherit, connection_limit) VALUES
    (3373, 'pg_monitor', 0, 0, 0, 0, 1, -1),
    (3374, 'pg_read_all_settings', 0, 0, 0, 0, 1, -1),
    (3375, 'pg_read_all_stats', 0, 0, 0, 0, 1, -1),
    (3377, 'pg_stat_scan_tables', 0, 0, 0, 0, 1, -1),
    (4200, 'pg_signal_backend', 0, 0, 0, 0, 1, -1),
    (6181, 'pg_read_all_data', 0, 0, 0, 0, 1, -1),
    (6182, 'pg_write_all_data', 0, 0, 0, 0, 1, -1);
INSERT INTO memberships (role_oid, member_oid, admin_option) VALUES (3374, 3373, 0), (3375, 3373, 0), (3377, 3373, 0);
