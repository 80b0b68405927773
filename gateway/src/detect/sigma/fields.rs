//! Fields of Sigma rules: our columns by their own names, by OCSF's and by those that rules commonly use.

use yaml_rust2::Yaml;

use super::invalid;
use crate::sqlstate::{SqlError, SqlState};

/// Which log a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Audit,
    History,
}

/// What queries need to know of a log.
#[derive(Debug, Clone, Copy)]
pub struct Log {
    pub source: Source,
    pub relation: &'static str,
    pub time: &'static str,
    pub actor: &'static str,
    pub id: &'static str,
    /// Columns that a finding shows.
    pub shown: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Number,
    /// text[]
    List,
    /// Shown as text.
    Time,
    Flag,
    Json,
}

const AUDIT: Log = Log {
    source: Source::Audit,
    relation: "system.access.audit",
    time: "event_time",
    actor: "actor",
    id: "event_id",
    shown: "action_name AS action, object_name AS object, status AS outcome, source_ip_address, client_application",
};

const HISTORY: Log = Log {
    source: Source::History,
    relation: "system.query.history",
    time: "start_time",
    actor: "executed_by",
    id: "statement_id",
    shown: "statement_type AS action, array_to_string(tables_read, ', ') AS object, execution_status AS outcome, source_ip_address, client_application",
};

const AUDIT_COLUMNS: &[(&str, Kind)] = &[
    ("event_id", Kind::Text),
    ("event_time", Kind::Time),
    ("event_date", Kind::Time),
    ("actor", Kind::Text),
    ("run_as", Kind::Text),
    ("source_ip_address", Kind::Text),
    ("session_id", Kind::Text),
    ("client_application", Kind::Text),
    ("auth_method", Kind::Text),
    ("service_name", Kind::Text),
    ("action_name", Kind::Text),
    ("object_type", Kind::Text),
    ("object_name", Kind::Text),
    ("request_params", Kind::Json),
    ("status", Kind::Text),
    ("sqlstate", Kind::Text),
    ("rows_affected", Kind::Number),
    ("statement_id", Kind::Text),
];

const HISTORY_COLUMNS: &[(&str, Kind)] = &[
    ("statement_id", Kind::Text),
    ("session_id", Kind::Text),
    ("statement_type", Kind::Text),
    ("execution_status", Kind::Text),
    ("executed_by", Kind::Text),
    ("executed_as", Kind::Text),
    ("client_application", Kind::Text),
    ("source_ip_address", Kind::Text),
    ("database", Kind::Text),
    ("warehouse", Kind::Text),
    ("engine", Kind::Text),
    ("statement_fingerprint", Kind::Text),
    ("sqlstate", Kind::Text),
    ("start_time", Kind::Time),
    ("end_time", Kind::Time),
    ("total_duration_ms", Kind::Number),
    ("execution_duration_ms", Kind::Number),
    ("read_files", Kind::Number),
    ("read_bytes", Kind::Number),
    ("read_rows", Kind::Number),
    ("produced_rows", Kind::Number),
    ("written_rows", Kind::Number),
    ("written_bytes", Kind::Number),
    ("from_result_cache", Kind::Flag),
    ("tables_read", Kind::List),
    ("tables_written", Kind::List),
    ("columns_read", Kind::List),
    ("columns_written", Kind::List),
    ("tags_read", Kind::List),
    ("functions", Kind::List),
    ("auth_method", Kind::Text),
    ("tls_version", Kind::Text),
];

/// Other names, of OCSF (1.9) first.
const AUDIT_NAMES: &[(&str, &str)] = &[
    ("metadata.uid", "event_id"),
    ("time", "event_time"),
    ("actor.user.name", "actor"),
    ("actor.session.uid", "session_id"),
    ("user.name", "actor"),
    ("src_endpoint.ip", "source_ip_address"),
    ("session.uid", "session_id"),
    ("actor.app_name", "client_application"),
    ("http_request.user_agent", "client_application"),
    ("auth_protocol", "auth_method"),
    ("api.service.name", "service_name"),
    ("api.operation", "action_name"),
    ("activity_name", "action_name"),
    ("resource.type", "object_type"),
    ("resource.name", "object_name"),
    ("status_code", "sqlstate"),
    ("user", "actor"),
    ("username", "actor"),
    ("src_ip", "source_ip_address"),
    ("sourceipaddress", "source_ip_address"),
    ("useragent", "client_application"),
    ("eventname", "action_name"),
    ("action", "action_name"),
    ("outcome", "status"),
];

const HISTORY_NAMES: &[(&str, &str)] = &[
    ("query_info.uid", "statement_id"),
    ("metadata.uid", "statement_id"),
    ("time", "start_time"),
    ("start_time_dt", "start_time"),
    ("end_time_dt", "end_time"),
    ("actor.user.name", "executed_by"),
    ("user.name", "executed_by"),
    ("actor.session.uid", "session_id"),
    ("session.uid", "session_id"),
    ("src_endpoint.ip", "source_ip_address"),
    ("actor.app_name", "client_application"),
    ("database.name", "database"),
    ("table.name", "tables_read"),
    ("query_info.bytes", "read_bytes"),
    ("query_info.name", "statement_type"),
    ("activity_name", "statement_type"),
    ("duration", "total_duration_ms"),
    ("status", "execution_status"),
    ("status_code", "sqlstate"),
    ("user", "executed_by"),
    ("username", "executed_by"),
    ("src_ip", "source_ip_address"),
    ("useragent", "client_application"),
    ("action", "statement_type"),
];

/// What a log's columns hold.
type Columns = &'static [(&'static str, Kind)];

/// Fields of others, and our columns for them.
type Names = &'static [(&'static str, &'static str)];

impl Log {
    /// `service: audit` or `query_history`; OCSF's Datastore Activity is the history, Authentication and its kin the audit log.
    ///
    /// # Errors
    /// 22023 for a log that is not ours.
    pub fn of(source: &Yaml) -> Result<Log, SqlError> {
        if source.is_badvalue() {
            return Ok(AUDIT);
        }
        let word = |key: &str| source[key].as_str().map(str::to_lowercase);
        if word("product").is_some_and(|product| !matches!(product.as_str(), "lakegate" | "ocsf" | "any")) {
            return Err(invalid("the log source's product is not lakegate"));
        }
        match word("service").or_else(|| word("category")).as_deref() {
            None | Some("audit" | "authentication" | "account_change" | "user_access" | "iam") => Ok(AUDIT),
            Some("query_history" | "query" | "history" | "database" | "datastore_activity") => Ok(HISTORY),
            Some(other) => Err(invalid(format!("there is no log \"{other}\": audit and query_history are"))),
        }
    }

    const fn columns(self) -> (Columns, Names) {
        match self.source {
            Source::Audit => (AUDIT_COLUMNS, AUDIT_NAMES),
            Source::History => (HISTORY_COLUMNS, HISTORY_NAMES),
        }
    }

    /// The column of a field, as SQL, and what it holds. `request_params.x` is a member of the parameters.
    ///
    /// # Errors
    /// 42703.
    pub fn column(self, field: &str) -> Result<(String, Kind), SqlError> {
        let (columns, names) = self.columns();
        let folded = field.to_lowercase();
        let name = names.iter().find(|(other, _)| *other == folded).map_or(folded.as_str(), |(_, column)| *column);
        if let Some((column, kind)) = columns.iter().find(|(column, _)| *column == name) {
            return Ok(((*column).to_owned(), *kind));
        }
        match field.split_once('.') {
            Some(("request_params", member)) if self.source == Source::Audit => {
                Ok((format!("(request_params ->> {})", super::literal(member)), Kind::Text))
            }
            _ => Err(SqlError::new(SqlState::UndefinedColumn, format!("{} has no field \"{field}\"", self.relation))),
        }
    }

    /// Where keywords are looked for.
    #[must_use]
    pub fn texts(self) -> Vec<&'static str> {
        let of_kind = |(name, kind): &(&'static str, Kind)| (*kind == Kind::Text && !name.ends_with("_id")).then_some(*name);
        self.columns().0.iter().filter_map(of_kind).collect()
    }
}
