//! The settings that do something here, or are accepted for clients that set them.

use super::settings::{Context, Kind, SERVER_VERSION, Setting};

const fn user(name: &'static str, default: &'static str, kind: Kind, category: &'static str, description: &'static str) -> Setting {
    Setting { name, default, kind, context: Context::User, reported: false, category, description }
}

const fn reported(name: &'static str, default: &'static str, kind: Kind, category: &'static str, description: &'static str) -> Setting {
    Setting { name, default, kind, context: Context::User, reported: true, category, description }
}

const fn internal(name: &'static str, value: &'static str, reported: bool, description: &'static str) -> Setting {
    Setting { name, default: value, kind: Kind::Text, context: Context::Internal, reported, category: "Preset Options", description }
}

const FORMAT: &str = "Client Connection Defaults / Locale and Formatting";
const BEHAVIOR: &str = "Client Connection Defaults / Statement Behavior";
const COMPATIBILITY: &str = "Version and Platform Compatibility / Previous PostgreSQL Versions";
const LAKEGATE: &str = "Lakegate";
const DAY_MS_MAX: i64 = 2_147_483_647;
const ISOLATION: &[&str] = &["serializable", "repeatable read", "read committed", "read uncommitted"];
const MESSAGE_LEVELS: &[&str] = &["debug5", "debug4", "debug3", "debug2", "debug1", "debug", "log", "info", "notice", "warning", "error"];

/// Those that do something here.
pub(super) static OWN: &[Setting] = &[
    reported(
        "application_name",
        "",
        Kind::Text,
        "Reporting and Logging / What to Log",
        "Name of the application, for the statement log and pg_stat_activity.",
    ),
    user("bytea_output", "hex", Kind::Enum(&["escape", "hex"]), BEHAVIOR, "Output format of bytea."),
    user(
        "client_connection_check_interval",
        "0",
        Kind::Milliseconds { max: DAY_MS_MAX },
        "Connections and Authentication / TCP Settings",
        "A lost client is always noticed at once; the value has no further effect.",
    ),
    user(
        "check_function_bodies",
        "on",
        Kind::Bool,
        BEHAVIOR,
        "There are no functions to check; accepted for restoring what pg_dump wrote.",
    ),
    reported("client_encoding", "UTF8", Kind::ClientEncoding, FORMAT, "Character set of the client; UTF8 alone."),
    user("client_min_messages", "notice", Kind::Enum(MESSAGE_LEVELS), BEHAVIOR, "Least severe message that is sent to the client."),
    reported(
        "DateStyle",
        "ISO, MDY",
        Kind::DateStyle,
        FORMAT,
        "Output format of dates and times, and the order of day, month and year in input.",
    ),
    user("default_table_access_method", "heap", Kind::Enum(&["heap"]), BEHAVIOR, "What pg_class says of every table."),
    user(
        "lakegate.auth",
        "default",
        Kind::Enum(&["default", "token"]),
        LAKEGATE,
        "As an option of start-up: token asks for the password in clear text inside TLS, which is how tokens come.",
    ),
    user(
        "default_tablespace",
        "",
        Kind::Enum(&["", "pg_default"]),
        BEHAVIOR,
        "There are no tablespaces; accepted for restoring what pg_dump wrote.",
    ),
    user("default_transaction_deferrable", "off", Kind::Bool, BEHAVIOR, "Deferrable status of new transactions."),
    user(
        "default_transaction_isolation",
        "repeatable read",
        Kind::Enum(ISOLATION),
        BEHAVIOR,
        "Isolation level of new transactions; every level reads repeatably.",
    ),
    reported("default_transaction_read_only", "off", Kind::Bool, BEHAVIOR, "New transactions may not change data."),
    user(
        "extra_float_digits",
        "1",
        Kind::Integer { min: -15, max: 3 },
        FORMAT,
        "Digits of floating-point output; above 0 the shortest exact form.",
    ),
    user(
        "idle_in_transaction_session_timeout",
        "0",
        Kind::Milliseconds { max: DAY_MS_MAX },
        BEHAVIOR,
        "Longest idle time within a transaction; 0 for none.",
    ),
    user(
        "idle_session_timeout",
        "0",
        Kind::Milliseconds { max: DAY_MS_MAX },
        BEHAVIOR,
        "Longest idle time outside transactions; 0 for none.",
    ),
    internal("in_hot_standby", "off", true, "The server is not a standby."),
    internal("integer_datetimes", "on", true, "Times are 64-bit integers of microseconds."),
    reported(
        "IntervalStyle",
        "postgres",
        Kind::Enum(&["postgres", "postgres_verbose", "sql_standard", "iso_8601"]),
        FORMAT,
        "Output format of intervals.",
    ),
    internal("is_superuser", "off", true, "The current role is a superuser."),
    user("lakegate.decoded_cache", "on", Kind::Bool, LAKEGATE, "Columns that are read again and again are kept decoded in memory."),
    user(
        "lakegate.progress_interval",
        "10000",
        Kind::Milliseconds { max: DAY_MS_MAX },
        LAKEGATE,
        "How often a NOTICE says how far a long change or work on a table has come; 0 for never.",
    ),
    user("lakegate.query_tags", "", Kind::Text, LAKEGATE, "Tags written beside each statement in system.query.history."),
    user("lakegate.result_cache", "on", Kind::Bool, LAKEGATE, "Rows of a statement that can give no others are kept for the next time."),
    user("lakegate.warehouse", "default", Kind::Text, LAKEGATE, "Warehouse that runs the statements."),
    internal("lc_collate", "C", false, "Collation order of text."),
    internal("lc_ctype", "C.UTF-8", false, "Character classes of text."),
    user("jit", "off", Kind::Bool, BEHAVIOR, "Nothing is compiled just in time; accepted for drivers that turn it off."),
    user("lc_messages", "C", Kind::Enum(&["C", "POSIX", "en_US.UTF-8", "en_US.utf8"]), FORMAT, "Language of messages."),
    user("lc_monetary", "C", Kind::Enum(&["C", "POSIX", "en_US.UTF-8", "en_US.utf8"]), FORMAT, "Locale of money."),
    user("lc_numeric", "C", Kind::Enum(&["C", "POSIX", "en_US.UTF-8", "en_US.utf8"]), FORMAT, "Locale of numbers."),
    user("lc_time", "C", Kind::Enum(&["C", "POSIX", "en_US.UTF-8", "en_US.utf8"]), FORMAT, "Locale of dates."),
    user("lock_timeout", "0", Kind::Milliseconds { max: DAY_MS_MAX }, BEHAVIOR, "Longest wait for a lock; 0 for none."),
    internal("max_identifier_length", "63", false, "Longest identifier in bytes."),
    internal("max_index_keys", "32", false, "Most columns of an index."),
    user("password_encryption", "scram-sha-256", Kind::Enum(&["scram-sha-256"]), COMPATIBILITY, "How clients hash new passwords."),
    user("row_security", "on", Kind::Bool, BEHAVIOR, "Row security applies."),
    user("search_path", "\"$user\", public", Kind::Text, BEHAVIOR, "Schemas searched for names without one."),
    internal("server_encoding", "UTF8", true, "Character set of the database."),
    internal("server_version", SERVER_VERSION, true, "PostgreSQL version whose behaviour is offered."),
    internal("server_version_num", "150018", false, "The same as a number."),
    reported("session_authorization", "", Kind::Text, "Preset Options", "The session's role."),
    reported("standard_conforming_strings", "on", Kind::Enum(&["on"]), COMPATIBILITY, "Backslashes in plain strings are literal."),
    user("statement_timeout", "0", Kind::Milliseconds { max: DAY_MS_MAX }, BEHAVIOR, "Longest run of a statement; 0 for none."),
    user("synchronize_seqscans", "on", Kind::Bool, COMPATIBILITY, "Scans have no shared position here; accepted for pg_dump."),
    reported("TimeZone", "UTC", Kind::TimeZone, FORMAT, "Zone in which times are shown and read."),
    user("transaction_deferrable", "off", Kind::Bool, BEHAVIOR, "The current transaction is deferrable."),
    user("transaction_isolation", "repeatable read", Kind::Enum(ISOLATION), BEHAVIOR, "The current transaction's isolation level."),
    user("transaction_read_only", "off", Kind::Bool, BEHAVIOR, "The current transaction may not change data."),
    user(
        "work_mem",
        "4096",
        Kind::Kilobytes { max: 2_147_483_647 },
        "Resource Usage / Memory",
        "Memory is shared out by the engine; the value has no effect.",
    ),
    user("xmloption", "content", Kind::Enum(&["content", "document"]), BEHAVIOR, "There is no xml type; accepted for pg_dump."),
];
