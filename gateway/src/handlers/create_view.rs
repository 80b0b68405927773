//! CREATE VIEW. The definition is kept as written, with the search path under which its names were found.

use std::collections::BTreeMap;
use std::sync::Arc;

use lakegate_catalog::Snapshot;
use lakegate_catalog::authorize;
use lakegate_catalog::ddl::NewRelation;
use lakegate_catalog::model::{Column, ObjectRef, Oid, Privilege, Relation, RelationKind, VIEW_DEPENDS_ON};
use lakegate_engine_api::{BoundStatement, Work, pg_type};
use sqlparser::ast::{CreateView, Statement};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, Tokenizer};
use uuid::Uuid;

use crate::frontend::Response;
use crate::sql::bind::VIEW_SEARCH_PATH;
use crate::sql::grammar::{fold, name_parts};
use crate::sql::parse::LineOffsets;
use crate::sql::session::GatewaySession;
use crate::sqlstate::{Severity, SqlError, SqlState};

pub async fn run(session: &mut GatewaySession, view: &CreateView, text: &str) -> Result<Response, SqlError> {
    if view.materialized || view.temporary || view.secure || view.to.is_some() {
        let what = if view.materialized { "a materialized view" } else { "this kind of view" };
        return Err(SqlError::unsupported(what).hint("Use CREATE VIEW, or CREATE TABLE AS for a stored result."));
    }
    let definition = query_text(text).ok_or_else(|| SqlError::new(SqlState::SyntaxError, "CREATE VIEW without its query"))?;
    let snapshot = session.catalog().refresh().await?;
    let scope = session.scope(&snapshot);
    let name = scope.place(&snapshot, &name_parts(&view.name)?)?;
    let schema = snapshot.require_schema(snapshot.require_database(&name.database)?.oid, &name.schema)?.oid;
    authorize::check(&snapshot, &session.principal, ObjectRef::Schema(schema), Privilege::Create)?;
    let existing = snapshot.relation(schema, &name.name).cloned();
    if let Some(old) = &existing {
        if view.if_not_exists {
            let text = format!("relation \"{}\" already exists, skipping", name.name);
            session.notice(SqlError::notice(Severity::Notice, SqlState::DuplicateTable, text));
            return Ok(Response::Command { tag: "CREATE VIEW".to_owned() });
        }
        if !view.or_replace {
            return Err(SqlError::new(SqlState::DuplicateTable, format!("relation \"{}\" already exists", name.name)));
        }
        if old.kind != RelationKind::View {
            return Err(SqlError::new(SqlState::WrongObjectType, format!("\"{}\" is not a view", name.name)));
        }
    }
    let (columns, depends_on) = describe(session, &snapshot, view).await?;
    let mut properties = BTreeMap::new();
    properties.insert(VIEW_SEARCH_PATH.to_owned(), scope.search_path.join("\u{1f}"));
    properties.insert(VIEW_DEPENDS_ON.to_owned(), depends_on.iter().map(ToString::to_string).collect::<Vec<_>>().join(","));
    match existing {
        Some(old) => {
            session.catalog().replace_view(&session.principal, old.oid, columns, definition).await?;
            let updates = properties.into_iter().map(|(key, value)| (key, Some(value))).collect();
            let updates = vec![lakegate_catalog::ddl::RelationUpdate::SetProperties(updates)];
            session.catalog().update_relation(&session.principal, old.oid, updates).await?;
        }
        None => {
            let relation = NewRelation {
                oid: None,
                schema,
                name: name.name,
                kind: RelationKind::View,
                location: String::new(),
                columns,
                partition_columns: Vec::new(),
                constraints: Vec::new(),
                definition: Some(definition),
                comment: view.comment.clone(),
                properties,
            };
            session.catalog().create_relation(&session.principal, relation).await?;
        }
    }
    Ok(Response::Command { tag: "CREATE VIEW".to_owned() })
}

/// Views that name any of these relations, and views on those, in an order in which they can be dropped.
#[must_use]
pub fn dependents(snapshot: &Snapshot, relations: &[Arc<Relation>]) -> Vec<Arc<Relation>> {
    let mut found: Vec<Arc<Relation>> = Vec::new();
    let mut open: Vec<Oid> = relations.iter().map(|relation| relation.oid).collect();
    while let Some(oid) = open.pop() {
        for view in snapshot.relations().filter(|view| view.depends_on().any(|named| named == oid)) {
            let known = found.iter().chain(relations).any(|known| known.oid == view.oid);
            if !known {
                found.push(Arc::clone(view));
                open.push(view.oid);
            }
        }
    }
    found.reverse();
    found
}

/// Plans the query once: its columns, and the relations that it names itself.
async fn describe(session: &mut GatewaySession, snapshot: &Arc<Snapshot>, view: &CreateView) -> Result<(Vec<Column>, Vec<Oid>), SqlError> {
    let facts = session.facts(snapshot);
    let mut named = view.query.clone();
    let mentions = crate::sql::bind::qualify(named.as_mut(), &session.scope(snapshot), snapshot)?;
    let depends_on = mentions.keys().filter_map(|name| snapshot.relation_by_name(name)).map(|relation| relation.oid).collect();
    let mut statement = Box::new(Statement::Query(view.query.clone()));
    let bound = session.binder(snapshot, &facts).bind(statement.as_mut(), None).await?;
    let prepared = session
        .shared
        .engine
        .prepare(BoundStatement {
            statement_id: Uuid::now_v7(),
            work: Work::Query(statement),
            relations: bound.relations,
            session: facts,
            parameter_types: Vec::new(),
        })
        .await?;
    if !prepared.parameters().is_empty() {
        return Err(SqlError::new(SqlState::UndefinedParameter, "there is no parameter $1"));
    }
    let Some(schema) = prepared.result_schema() else {
        return Err(SqlError::new(SqlState::SyntaxError, "a view needs a query that answers rows"));
    };
    if view.columns.len() > schema.fields().len() {
        return Err(SqlError::new(SqlState::SyntaxError, "CREATE VIEW specifies more column names than columns"));
    }
    let mut columns = Vec::new();
    for (index, field) in schema.fields().iter().enumerate() {
        let name = view.columns.get(index).map_or_else(|| field.name().clone(), |column| fold(&column.name));
        if columns.iter().any(|column: &Column| column.name == name) {
            return Err(SqlError::new(SqlState::DuplicateColumn, format!("column \"{name}\" specified more than once")));
        }
        columns.push(Column { name, data_type: pg_type(field), not_null: false, default: None, comment: None });
    }
    Ok((columns, depends_on))
}

/// What stands after the first AS outside parentheses.
fn query_text(text: &str) -> Option<String> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize_with_location().ok()?;
    let mut depth = 0_usize;
    let after_as = tokens.iter().find_map(|token| {
        match &token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            Token::Word(word) if depth == 0 && word.keyword == Keyword::AS => return Some(token.span.end),
            _ => {}
        }
        None
    })?;
    Some(text.get(LineOffsets::new(text).byte(text, after_as)..)?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::query_text;

    #[test]
    fn the_definition_is_what_was_written() {
        let text = "CREATE VIEW v (a, b) AS\n  SELECT 1 AS x, E'\\n' /* kept */ AS y";
        assert_eq!(query_text(text).unwrap(), "SELECT 1 AS x, E'\\n' /* kept */ AS y");
    }
}
