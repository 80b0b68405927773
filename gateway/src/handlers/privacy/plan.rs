//! What an erasure is going to do, found out before anything is done: the tables, the values by which rows belong to the subjects, and what
//! stands in the way.

use std::collections::BTreeSet;
use std::sync::Arc;

use lakegate_catalog::Snapshot;
use lakegate_catalog::model::{Oid, Privilege, Relation, RelationKind, RelationName};
use lakegate_catalog::privacy::{PrivacyStep, StepKeys};
use lakegate_engine_api::{Erasure, SubjectRule};
use serde_json::json;

use super::{context, own_table, texts};
use crate::privacy::{CoveredTable, Rule, SubjectMap, condition, quoted, require_access, require_officer};
use crate::sql::execute::Deadline;
use crate::sql::journal::Journal;
use crate::sql::session::GatewaySession;
use crate::sqlstate::{SqlError, SqlState};

/// The steps, and other identifiers of the same people.
pub struct Plan {
    pub steps: Vec<PrivacyStep>,
    pub aliases: Vec<String>,
}

/// Identifiers that a table lists in its first column.
///
/// # Errors
/// 42P01, 42501; 42601 for what is no name.
pub async fn listed(session: &mut GatewaySession, table: &str, deadline: &Deadline) -> Result<Vec<String>, SqlError> {
    let snapshot = session.catalog().refresh().await?;
    require_officer(&snapshot, &session.principal)?;
    let parts: Vec<String> = match crate::sql::parse::parse_expression(table) {
        Ok(sqlparser::ast::Expr::Identifier(name)) => vec![crate::sql::grammar::fold(&name)],
        Ok(sqlparser::ast::Expr::CompoundIdentifier(names)) => names.iter().map(crate::sql::grammar::fold).collect(),
        _ => return Err(SqlError::new(SqlState::InvalidName, format!("invalid name syntax: \"{table}\""))),
    };
    let name = session.scope(&snapshot).resolve(&snapshot, &parts)?;
    let relation = snapshot.relation_by_name(&name).cloned().ok_or_else(|| crate::sql::bind::undefined(&parts))?;
    lakegate_catalog::authorize::check(
        &snapshot,
        &session.principal,
        lakegate_catalog::model::ObjectRef::Relation(relation.oid),
        Privilege::Select,
    )?;
    let Some(column) = relation.columns.first() else { return Ok(Vec::new()) };
    let text = format!("SELECT DISTINCT {}::text AS v FROM {}", quoted(&column.name), full(&name));
    texts(session, &snapshot, &text, deadline).await
}

pub fn full(name: &RelationName) -> String {
    [&name.database, &name.schema, &name.name].map(|part| quoted(part)).join(".")
}

/// # Errors
/// 42501; 55000 for what stands in the way; 0A000 for tables that an erasure cannot handle.
pub fn check(session: &GatewaySession, snapshot: &Snapshot, map: &SubjectMap) -> Result<(), SqlError> {
    require_officer(snapshot, &session.principal)?;
    require_access(snapshot, &session.principal, map, Privilege::Select)?;
    let mut held = Vec::new();
    for table in &map.tables {
        let privilege = match table.rule {
            Rule::Delete => Privilege::Delete,
            Rule::Columns(_) => Privilege::Update,
            Rule::Refresh => Privilege::Select,
        };
        let object = lakegate_catalog::model::ObjectRef::Relation(table.relation.oid);
        lakegate_catalog::authorize::check(snapshot, &session.principal, object, privilege)?;
        if table.legal_hold {
            held.push(table.name.to_string());
        }
        check_rule(table)?;
    }
    if held.is_empty() {
        return Ok(());
    }
    Err(SqlError::new(SqlState::ObjectNotInPrerequisiteState, "tables of the subject are under legal hold")
        .detail(format!("Tables: {}.", held.join(", ")))
        .hint("Nothing was erased. UNSET TAGS ('legal_hold') ends the hold."))
}

/// Rows that stay must not go on naming the subject.
fn check_rule(table: &CoveredTable) -> Result<(), SqlError> {
    let Rule::Columns(replaced) = &table.rule else { return Ok(()) };
    let wrong = |text: String| Err(SqlError::new(SqlState::ObjectNotInPrerequisiteState, text));
    for column in table.columns.iter().filter(|column| column.via.is_none()) {
        if !replaced.iter().any(|(name, _)| *name == column.name) {
            return wrong(format!("column \"{}\" of table \"{}\" would go on naming the subject", column.name, table.name))
                .map_err(|error: SqlError| error.hint("Give it a tag 'erase' too, or no column of the table."));
        }
    }
    for column in &table.relation.columns {
        let Some((_, value)) = replaced.iter().find(|(name, _)| *name == column.name) else {
            if column.generated.is_some() {
                return wrong(format!("table \"{}\" has a generated column, which may hold what is to be replaced", table.name));
            }
            continue;
        };
        if column.not_null && value.is_none() {
            return wrong(format!("column \"{}\" of table \"{}\" cannot be NULL", column.name, table.name))
                .map_err(|error: SqlError| error.hint("Tag it 'erase' = 'replace:…'."));
        }
        if table.relation.partition_columns.contains(&column.name) && value.is_none() {
            continue;
        }
    }
    Ok(())
}

/// # Errors
/// As [`check`]; those of the queries.
pub async fn make(
    session: &GatewaySession,
    snapshot: &Arc<Snapshot>,
    map: &SubjectMap,
    identifiers: &[String],
    deadline: &Deadline,
) -> Result<Plan, SqlError> {
    let mut steps = Vec::new();
    let mut aliases = BTreeSet::new();
    for table in map.tables.iter().filter(|table| table.rule != Rule::Refresh) {
        let condition = condition(map, table, identifiers);
        let mut keys: StepKeys = Vec::new();
        for column in &table.columns {
            let values = match &column.via {
                None => identifiers.to_vec(),
                Some((parent, key)) => {
                    let parent = map.table(parent).ok_or_else(|| super::internal("a table of the map is not in it"))?;
                    let owned = crate::privacy::condition(map, parent, identifiers);
                    let text = format!("SELECT DISTINCT {}::text AS v FROM {} WHERE {owned}", quoted(key), full(&parent.name));
                    texts(session, snapshot, &text, deadline).await?
                }
            };
            keys.push((column.name.clone(), values));
            if column.via.is_none() {
                let text = format!("SELECT DISTINCT {}::text AS v FROM {} WHERE {condition}", quoted(&column.name), full(&table.name));
                aliases.extend(texts(session, snapshot, &text, deadline).await?);
            }
        }
        steps.push(step(table.name.clone(), &table.relation, &table.rule, keys));
    }
    for view in views_over(snapshot, map) {
        let Some(name) = snapshot.name_of(&view) else { continue };
        // Its columns' keys are those of the map, where it is in it.
        let keys = map.table(&name).map(|table| keys_of_view(table, identifiers)).unwrap_or_default();
        steps.push(step(name, &view, &Rule::Refresh, keys));
    }
    for (ordinal, step) in steps.iter_mut().enumerate() {
        step.ordinal = u32::try_from(ordinal).unwrap_or(u32::MAX);
    }
    let known: BTreeSet<&String> = identifiers.iter().collect();
    let aliases = aliases.into_iter().filter(|alias| !known.contains(alias)).collect();
    Ok(Plan { steps, aliases })
}

fn keys_of_view(table: &CoveredTable, identifiers: &[String]) -> StepKeys {
    let direct = table.columns.iter().filter(|column| column.via.is_none());
    direct.map(|column| (column.name.clone(), identifiers.to_vec())).collect()
}

fn step(name: RelationName, relation: &Relation, rule: &Rule, keys: StepKeys) -> PrivacyStep {
    let replaced = match rule {
        Rule::Columns(columns) => columns.clone(),
        Rule::Delete | Rule::Refresh => Vec::new(),
    };
    PrivacyStep {
        ordinal: 0,
        table: name.to_string(),
        location: relation.location.clone(),
        state: "pending".to_owned(),
        report: json!({ "oid": relation.oid, "rule": rule.word(), "replaced": replaced, "columns": keys.iter().map(|(name, _)| name).collect::<Vec<_>>() }),
        keys,
    }
}

/// Materialized views that read covered tables, through whatever views, those that others read first.
fn views_over(snapshot: &Snapshot, map: &SubjectMap) -> Vec<Arc<Relation>> {
    let mut affected: BTreeSet<Oid> = map.tables.iter().map(|table| table.relation.oid).collect();
    let mut found: Vec<Arc<Relation>> = Vec::new();
    loop {
        let before = affected.len();
        for relation in snapshot.relations() {
            let reads = relation.view_reads().unwrap_or_default();
            let is_new = !found.iter().any(|known| known.oid == relation.oid);
            if reads.iter().any(|read| affected.contains(&read.oid)) {
                affected.insert(relation.oid);
                if is_new && relation.kind == RelationKind::MaterializedView {
                    found.push(Arc::clone(relation));
                }
            }
        }
        if affected.len() == before {
            return found;
        }
    }
}

/// Counts rows and files without changing any; finds tables that cannot be erased from before any was.
///
/// # Errors
/// The engine's.
pub async fn rehearse(
    session: &GatewaySession,
    snapshot: &Arc<Snapshot>,
    steps: &[PrivacyStep],
    deadline: &Deadline,
    journal: &Journal,
) -> Result<Vec<lakegate_engine_api::Erased>, SqlError> {
    let facts = session.facts(snapshot);
    let mut found = Vec::new();
    for step in steps {
        let Some((name, rule)) = target(snapshot, step) else {
            found.push(lakegate_engine_api::Erased::default());
            continue;
        };
        let table = own_table(session, snapshot, &facts, &name)?;
        let erasure = Erasure { keys: step.keys.clone(), rule, dry_run: true };
        found.push(session.engine().erase_rows(table, erasure, Arc::clone(&facts), context(journal, deadline)).await?);
    }
    Ok(found)
}

/// The table of a step by its name of now, and what is done to its rows; `None` for one that is gone, or is filled anew.
pub fn target(snapshot: &Snapshot, step: &PrivacyStep) -> Option<(RelationName, SubjectRule)> {
    let relation = relation_of(snapshot, step)?;
    let replaced: Vec<(String, Option<String>)> = serde_json::from_value(step.report.get("replaced")?.clone()).ok()?;
    match step.report.get("rule").and_then(serde_json::Value::as_str) {
        Some("refresh") => None,
        _ if replaced.is_empty() => Some((snapshot.name_of(&relation)?, SubjectRule::Delete)),
        _ => Some((snapshot.name_of(&relation)?, SubjectRule::Replace(replaced))),
    }
}

pub fn relation_of(snapshot: &Snapshot, step: &PrivacyStep) -> Option<Arc<Relation>> {
    let oid = step.report.get("oid").and_then(serde_json::Value::as_u64).and_then(|oid| Oid::try_from(oid).ok())?;
    snapshot.relation_by_oid(oid).cloned()
}
