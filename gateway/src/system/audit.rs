//! `system.access.audit`: logins, denials, grants and changes of objects.

use std::collections::BTreeSet;

use arrow_array::RecordBatch;
use chrono::Utc;
use lakegate_catalog::Catalog;
use lakegate_catalog::audit::{AuditEvent, AuditFilter, AuditRow, AuditStatus};
use lakegate_catalog::authorize::Principal;
use lakegate_engine_api::RelationSource;
use sqlparser::ast::{ObjectName, Statement};
use uuid::Uuid;

use super::LogWindow;
use super::columns::Columns;
use super::query_history::{Recent, together};
use crate::config::Config;
use crate::frontend::SessionStart;
use crate::privacy::function_of;
use crate::sql::bind::Bound;
use crate::sql::grammar::{
    Alter, AlterAction, AlterRoleChange, Command, CreateToken, Governance, GrantTarget, Keys, LogCall, Owned, PrivilegeWord, RelationWord,
    RoleOptions, TokenExpiry, Watch,
};
use crate::sql::session::GatewaySession;
use crate::sql::statement_type::statement_type;
use crate::sqlstate::SqlError;

/// As [`super::query_history::rows`].
pub async fn rows(
    catalog: &Catalog,
    principal: &Principal,
    what: &LogWindow,
    columns: Option<&BTreeSet<String>>,
) -> Result<Recent, SqlError> {
    let filter = AuditFilter {
        limit: Some(what.limit.unwrap_or(u32::MAX)),
        since: what.since,
        until: what.until,
        without_details: !what.opens,
        ..AuditFilter::default()
    };
    let mut parts = catalog.audit_parts(principal, filter).await?;
    let (mut batches, mut count) = (Vec::new(), 0);
    while let Some(rows) = parts.next().await? {
        count += rows.len();
        batches.push(batch(&rows, columns)?);
    }
    Ok(Recent { source: together(batches, batch(&[], columns)?), older: parts.older(), count })
}

/// The rows as a relation.
pub fn table(rows: &[AuditRow]) -> Result<RelationSource, SqlError> {
    Ok(together(Vec::new(), batch(rows, None)?))
}

pub fn batch(rows: &[AuditRow], columns: Option<&BTreeSet<String>>) -> Result<RecordBatch, SqlError> {
    Columns::over(rows)
        .only(columns)
        .uuid("event_id", |row| Some(row.event_id.to_string()))
        .time("event_time", |row| Some(row.event.event_time))
        .date("event_date", |row| Some(row.event_date))
        .text("actor", |row| Some(row.event.actor.clone()))
        .text("run_as", |row| Some(row.event.run_as.clone()))
        .text("source_ip_address", |row| row.event.source_ip_address.clone())
        .text("session_id", |row| row.event.session_id.clone())
        .text("client_application", |row| row.event.client_application.clone())
        .text("auth_method", |row| row.event.auth_method.clone())
        .text("service_name", |row| Some(row.event.service_name.clone()))
        .text("action_name", |row| Some(row.event.action_name.clone()))
        .text("object_type", |row| row.event.object_type.clone())
        .text("object_name", |row| row.event.object_name.clone())
        .json("request_params", request_params)
        .text("status", |row| Some(row.event.status.word().to_owned()))
        .text("sqlstate", |row| row.event.sqlstate.clone())
        .text("error_message", |row| row.event.error_message.clone())
        .count("rows_affected", |row| row.event.rows_affected)
        .uuid("statement_id", |row| row.event.statement_id.map(|id| id.to_string()))
        .batch()
}

fn request_params(row: &AuditRow) -> Option<String> {
    (!row.event.request_params.is_null()).then(|| row.event.request_params.to_string())
}

/// The event of a statement that lacked a privilege, before it is known whether it does.
#[must_use]
pub fn denial(session: &GatewaySession, statement_id: Uuid) -> AuditEvent {
    AuditEvent {
        service_name: "warehouse".to_owned(),
        action_name: "statement".to_owned(),
        status: AuditStatus::Denied,
        statement_id: Some(statement_id),
        ..event(session)
    }
}

/// Fills in why it was denied.
pub fn explain(event: &mut AuditEvent, error: &SqlError) {
    event.sqlstate = Some(error.state.code().to_owned());
    event.error_message = Some(error.message.clone());
}

/// The event of a change of the catalog.
#[must_use]
pub fn change(session: &GatewaySession, command: &Command, statement_id: Uuid) -> AuditEvent {
    let (object_type, object_name, request_params) = subject(command);
    AuditEvent {
        service_name: "catalog".to_owned(),
        action_name: statement_type(command).to_lowercase().replace(' ', "_"),
        object_type: object_type.map(str::to_owned),
        object_name,
        request_params,
        statement_id: Some(statement_id),
        ..event(session)
    }
}

/// Of a change whose transaction was rolled back, or failed with `error`.
#[must_use]
pub fn undone(mut event: AuditEvent, error: &SqlError) -> AuditEvent {
    event.status = AuditStatus::Error;
    explain(&mut event, error);
    event
}

/// What a command is about, as far as it holds no secret.
fn subject(command: &Command) -> (Option<&'static str>, Option<String>, serde_json::Value) {
    let nothing = serde_json::Value::Null;
    match command {
        Command::CreateRole(role) => (Some("role"), Some(role.name.clone()), role_options(&role.options)),
        Command::AlterRole(role) => {
            let params = match &role.change {
                AlterRoleChange::Options(options) => role_options(options),
                _ => nothing,
            };
            (Some("role"), role.name.clone(), params)
        }
        Command::DefaultPrivileges(alter) => {
            let words: Vec<&str> = alter.privileges.iter().map(|privilege| privilege.word.as_str()).collect();
            let params = serde_json::json!({ "privileges": words, "grantees": alter.grantees, "kind": alter.kind.letter() });
            (Some("default privileges"), Some(alter.roles.join(", ")), params)
        }
        Command::Keys(Keys::Rotate) => (Some("keys"), None, nothing),
        Command::Keys(Keys::DestroyOfRole(role)) => (Some("keys"), Some(format!("role {role}")), nothing),
        Command::Keys(Keys::DestroyOfDay(day)) => (Some("keys"), Some(format!("day {day}")), nothing),
        Command::Privacy(call) => (Some("subject"), Some(call.kind().to_owned()), serde_json::json!({ "call": call.word() })),
        Command::Log(LogCall::Flush(interval)) => (Some("log"), None, serde_json::json!({ "call": "flush_logs", "older_than": interval })),
        Command::Log(LogCall::BlindIndex(on)) => (Some("blind index"), None, serde_json::json!({ "call": "set_blind_index", "on": on })),
        Command::SavedQuery(call) => {
            let (procedure, name) = call.subject();
            (Some("saved query"), Some(name.to_owned()), serde_json::json!({ "call": procedure }))
        }
        Command::CreateToken(create) => (Some("token"), Some(create.name.clone()), token_params(create)),
        Command::DropToken(drop) => (Some("token"), Some(drop.name.clone()), serde_json::json!({ "role": drop.role })),
        Command::CreateDatabase(create) => (Some("database"), Some(create.name.clone()), nothing),
        Command::AlterDatabase(alter) => (Some("database"), Some(alter.name.clone()), nothing),
        Command::Owned(Owned::Reassign { roles, to }) => (Some("role"), Some(roles.join(", ")), serde_json::json!({ "to": to })),
        Command::Owned(Owned::Drop { roles, .. }) => (Some("role"), Some(roles.join(", ")), nothing),
        Command::DropRole(drop) => (Some("role"), Some(drop.names.join(", ")), nothing),
        Command::CreateTable(table) => (Some("table"), Some(table.sql.name.to_string()), nothing),
        Command::Alter(alter) => (Some(alter_kind(alter.word)), Some(alter.name.to_string()), altered(alter)),
        Command::CreateSequence(create) => (Some("sequence"), Some(create.name.to_string()), nothing),
        Command::CreateMaterializedView(view) => (Some("materialized view"), Some(view.name.to_string()), nothing),
        Command::Refresh(refresh) => (Some("materialized view"), Some(refresh.name.to_string()), nothing),
        Command::Reindex(reindex) => (Some("index"), Some(reindex.name.to_string()), nothing),
        Command::ConvertToDelta(convert) => (Some("table"), Some(convert.url.clone()), nothing),
        Command::TableWork(work) => {
            let names: Vec<String> = work.tables().iter().map(ToString::to_string).collect();
            (Some("table"), Some(names.join(", ")), nothing)
        }
        Command::CreateExternalLocation(create) => {
            (Some("external location"), Some(create.name.clone()), serde_json::json!({ "url": create.url }))
        }
        Command::Warehouse(command) => {
            let options: serde_json::Map<String, serde_json::Value> =
                command.options().iter().map(|option| (option.name.clone(), option.value.clone().into())).collect();
            (Some("warehouse"), Some(command.names().join(", ")), options.into())
        }
        Command::DropExternalLocation(drop) => (Some("external location"), Some(drop.name.clone()), nothing),
        Command::Grant(grant) => granted(&grant.privileges, &grant.target, &grant.grantees),
        Command::Revoke(revoke) => granted(&revoke.privileges, &revoke.target, &revoke.grantees),
        Command::GrantMembership(grant) => (
            Some("role"),
            Some(grant.roles.join(", ")),
            serde_json::json!({ "members": grant.members, "admin_option": grant.admin_option }),
        ),
        Command::RevokeMembership(revoke) => {
            (Some("role"), Some(revoke.roles.join(", ")), serde_json::json!({ "members": revoke.members }))
        }
        Command::Governance(governance) => {
            let (kind, name) = governance.subject();
            let params = match governance.as_ref() {
                Governance::AlterTags(alter) => serde_json::json!({ "tags": alter.changes }),
                _ => nothing,
            };
            (Some(kind), Some(name), params)
        }
        Command::Watch(watch) => {
            let (kind, name) = watch.subject();
            let params = match watch.as_ref() {
                Watch::AlterFinding { state, .. } => serde_json::json!({ "state": state }),
                Watch::Alter { changes, .. } => {
                    serde_json::json!({ "changes": changes.iter().map(|change| format!("{change:?}")).collect::<Vec<_>>() })
                }
                _ => nothing,
            };
            (Some(kind), Some(name.to_owned()), params)
        }
        Command::Copy(_)
        | Command::DeclareCursor(_)
        | Command::Fetch(_)
        | Command::CloseCursor(_)
        | Command::Begin(_)
        | Command::SetTransaction(_)
        | Command::LockTable(_)
        | Command::Analyze(_)
        | Command::TwoPhase(_) => (None, None, nothing),
        Command::Sql(statement) => match statement.as_ref() {
            Statement::CreateView(view) => (Some("view"), Some(view.name.to_string()), nothing),
            Statement::CreateSchema { schema_name, .. } => (Some("schema"), Some(schema_name.to_string()), nothing),
            Statement::CreateIndex(index) => (Some("index"), index.name.as_ref().map(ToString::to_string), nothing),
            Statement::AlterSchema(alter) => (Some("schema"), Some(alter.name.to_string()), nothing),
            Statement::Comment { object_name, .. } => (None, Some(object_name.to_string()), nothing),
            Statement::Drop { names, .. } => (None, Some(names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")), nothing),
            _ => (None, None, nothing),
        },
    }
}

/// What a role may do; of its password only that it has one.
fn role_options(options: &RoleOptions) -> serde_json::Value {
    serde_json::json!({
        "superuser": options.superuser,
        "createrole": options.create_role,
        "createdb": options.create_db,
        "bypassrls": options.bypass_rls,
        "login": options.login,
        "password": options.password.is_some(),
    })
}

/// Half a year and more is long.
fn token_params(create: &CreateToken) -> serde_json::Value {
    let long_lived = match &create.expires {
        TokenExpiry::Default => false,
        TokenExpiry::Never => true,
        expires => crate::handlers::token::expiry(expires).ok().flatten().is_none_or(|at| at - Utc::now() > chrono::Duration::days(183)),
    };
    serde_json::json!({ "role": create.role, "long_lived": long_lived })
}

/// Tags and who is masked, which an auditor asks for.
fn altered(alter: &Alter) -> serde_json::Value {
    let said: Vec<serde_json::Value> = alter
        .actions
        .iter()
        .filter_map(|action| match action {
            AlterAction::Tags { column, changes } => Some(serde_json::json!({ "column": column, "tags": changes })),
            AlterAction::Mask { column, mask } => {
                let roles = mask.as_ref().map(|mask| mask.roles.iter().map(ToString::to_string).collect::<Vec<_>>());
                Some(serde_json::json!({ "column": column, "mask": mask.is_some(), "roles": roles }))
            }
            _ => None,
        })
        .collect();
    if said.is_empty() { serde_json::Value::Null } else { serde_json::json!({ "actions": said }) }
}

const fn alter_kind(word: RelationWord) -> &'static str {
    match word {
        RelationWord::Table => "table",
        RelationWord::View => "view",
        RelationWord::MaterializedView => "materialized view",
        RelationWord::Sequence => "sequence",
        RelationWord::Index => "index",
    }
}

fn granted(
    privileges: &[PrivilegeWord],
    target: &GrantTarget,
    grantees: &[String],
) -> (Option<&'static str>, Option<String>, serde_json::Value) {
    let objects = |names: &[ObjectName]| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let (kind, name) = match target {
        GrantTarget::Tables(names) => ("table", objects(names)),
        GrantTarget::AllTablesInSchemas(names) => ("all tables in schema", objects(names)),
        GrantTarget::Sequences(names) => ("sequence", objects(names)),
        GrantTarget::AllSequencesInSchemas(names) => ("all sequences in schema", objects(names)),
        GrantTarget::AllFunctionsInSchemas(names) => ("all functions in schema", objects(names)),
        GrantTarget::Schemas(names) => ("schema", objects(names)),
        GrantTarget::Databases(names) => ("database", names.join(", ")),
        GrantTarget::ExternalLocations(names) => ("external location", names.join(", ")),
        GrantTarget::Warehouses(names) => ("warehouse", names.join(", ")),
    };
    let word = |privilege: &PrivilegeWord| match privilege.columns.as_slice() {
        [] => privilege.word.clone(),
        columns => format!("{} ({})", privilege.word, columns.join(", ")),
    };
    let words: Vec<String> = privileges.iter().map(word).collect();
    (Some(kind), Some(name), serde_json::json!({ "privileges": words, "grantees": grantees }))
}

/// That somebody opens texts of so many statements of others.
#[must_use]
pub fn opened(reader: AuditEvent, statements: usize) -> AuditEvent {
    AuditEvent {
        event_time: Utc::now(),
        service_name: "log".to_owned(),
        action_name: "decrypt".to_owned(),
        object_type: Some("relation".to_owned()),
        object_name: Some("system.query.history".to_owned()),
        request_params: serde_json::json!({ "statements": statements }),
        ..reader
    }
}

/// The end of a session.
pub async fn session_end(session: &GatewaySession) {
    let logout = AuditEvent { action_name: "logout".to_owned(), ..event(session) };
    record(&session.shared.catalog, logout).await;
}

/// Records an event; a log that cannot be written is an error in the server's own log, for the client has its answer already.
pub async fn record(catalog: &Catalog, event: AuditEvent) {
    if let Err(error) = catalog.audit(event, false).await {
        tracing::error!(%error, "an audit event could not be recorded");
    }
}

/// That somebody asks where a data subject is, durable before it is answered; whom, is not told.
///
/// # Errors
/// 58030.
pub async fn subjects_read(session: &GatewaySession, bound: &Bound, statement_id: Uuid) -> Result<(), SqlError> {
    for function in bound.relations.iter().filter_map(|relation| function_of(&relation.name)) {
        let event = AuditEvent {
            service_name: "privacy".to_owned(),
            action_name: function.name().to_owned(),
            object_type: Some("subject".to_owned()),
            object_name: Some(function.kind().to_owned()),
            statement_id: Some(statement_id),
            ..event(session)
        };
        session.shared.catalog.audit(event, true).await?;
    }
    Ok(())
}

/// Of a session, before there is one.
#[must_use]
pub fn of_start(start: &SessionStart, session_id: Uuid) -> AuditEvent {
    let application = start.settings.iter().find(|(name, _)| name.eq_ignore_ascii_case("application_name")).map(|(_, value)| value.clone());
    let name = start.authenticated.name().to_owned();
    AuditEvent {
        actor_oid: start.authenticated.role(),
        actor: name.clone(),
        run_as: name,
        source_ip_address: start.client_address.map(|address| address.ip().to_canonical().to_string()),
        session_id: Some(session_id.to_string()),
        client_application: application,
        auth_method: Some(start.auth_method.to_owned()),
        ..of_nobody()
    }
}

/// Of the program itself, or of a client that did not say who it is.
#[must_use]
pub fn of_nobody() -> AuditEvent {
    AuditEvent {
        event_time: Utc::now(),
        actor_oid: 0,
        actor: String::new(),
        run_as: String::new(),
        source_ip_address: None,
        session_id: None,
        client_application: None,
        auth_method: None,
        service_name: "accounts".to_owned(),
        action_name: String::new(),
        object_type: None,
        object_name: None,
        request_params: serde_json::Value::Null,
        status: AuditStatus::Success,
        sqlstate: None,
        error_message: None,
        rows_affected: None,
        statement_id: None,
    }
}

/// A statement was canceled by whoever knows its session's key.
#[must_use]
pub fn cancel_request(address: std::net::IpAddr, pid: i32) -> AuditEvent {
    AuditEvent {
        source_ip_address: Some(address.to_canonical().to_string()),
        service_name: "warehouse".to_owned(),
        action_name: "cancel".to_owned(),
        object_type: Some("session".to_owned()),
        object_name: Some(pid.to_string()),
        auth_method: Some("cancel key".to_owned()),
        ..of_nobody()
    }
}

/// A server begins: how clients may come in. `access` is the same as long as nothing of it changes.
///
/// # Errors
/// 58030.
pub async fn server_start(catalog: &Catalog, listen: &str, config: &Config) -> Result<(), SqlError> {
    let rules = config.access_rules.as_deref().and_then(|path| std::fs::read_to_string(path).ok());
    let access = serde_json::json!({
        "password": config.auth_password,
        "plain_remote": config.allow_plain_remote,
        "client_ca": config.tls_client_ca.is_some(),
        "jwt_issuer": config.jwt.as_ref().map(|jwt| jwt.issuer.clone()),
        "rules": rules.map(|rules| catalog.fingerprint(&rules)),
    });
    let event = AuditEvent {
        actor: "server".to_owned(),
        run_as: "server".to_owned(),
        service_name: "server".to_owned(),
        action_name: "server_start".to_owned(),
        object_type: Some("server".to_owned()),
        object_name: Some(listen.to_owned()),
        request_params: serde_json::json!({ "version": env!("CARGO_PKG_VERSION"), "access": access.to_string() }),
        ..of_nobody()
    };
    Ok(catalog.audit(event, true).await?)
}

/// A command of `lakegate admin`, by whoever may run it on the server's machine.
#[must_use]
pub fn admin_command(action: &str, object: Option<(&str, &str)>) -> AuditEvent {
    AuditEvent {
        actor: "lakegate admin".to_owned(),
        run_as: "admin".to_owned(),
        client_application: Some("lakegate admin".to_owned()),
        service_name: "administration".to_owned(),
        action_name: format!("admin_{action}"),
        object_type: object.map(|(kind, _)| kind.to_owned()),
        object_name: object.map(|(_, name)| name.to_owned()),
        request_params: serde_json::json!({ "os_user": std::env::var("USER").ok() }),
        ..of_nobody()
    }
}

/// Rows went out by COPY: to the client, or to a file at an external location.
///
/// # Errors
/// 58030.
pub async fn exported(session: &GatewaySession, location: Option<String>) -> Result<(), SqlError> {
    let to_client = location.is_none();
    let event = AuditEvent {
        service_name: "warehouse".to_owned(),
        action_name: "export".to_owned(),
        object_type: Some(if to_client { "client" } else { "external location" }.to_owned()),
        object_name: location,
        ..event(session)
    };
    Ok(session.shared.catalog.audit(event, false).await?)
}

#[must_use]
pub fn event(session: &GatewaySession) -> AuditEvent {
    let snapshot = session.catalog().snapshot();
    AuditEvent {
        event_time: Utc::now(),
        actor_oid: session.principal.session_role,
        actor: session.start.authenticated.name().to_owned(),
        run_as: session.role_name(&snapshot, session.principal.current_role),
        source_ip_address: session.start.client_address.map(|address| address.ip().to_string()),
        session_id: Some(session.session_id.to_string()),
        client_application: session.settings.current.get("application_name").filter(|name| !name.is_empty()).map(str::to_owned),
        auth_method: Some(session.start.auth_method.to_owned()),
        service_name: "accounts".to_owned(),
        action_name: String::new(),
        object_type: None,
        object_name: None,
        request_params: serde_json::Value::Null,
        status: AuditStatus::Success,
        sqlstate: None,
        error_message: None,
        rows_affected: None,
        statement_id: None,
    }
}
