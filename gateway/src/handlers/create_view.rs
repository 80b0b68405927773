//! CREATE VIEW. The definition is kept as written, with the search path under which its names were found.

use std::collections::BTreeMap;
use std::sync::Arc;

use lakegate_catalog::Snapshot;
use lakegate_catalog::authorize;
use lakegate_catalog::ddl::NewRelation;
use lakegate_catalog::model::{
    Column, ObjectRef, Oid, Privilege, Relation, RelationKind, VIEW_DEPENDS_ON, VIEW_OPTIONS, VIEW_READS, ViewRead,
};
use lakegate_engine_api::{BoundStatement, Work, pg_type};
use sqlparser::ast::{CreateTableOptions, CreateView, Query, SqlOption, Statement};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, Tokenizer};
use uuid::Uuid;

use crate::frontend::Response;
use crate::sql::bind::VIEW_SEARCH_PATH;
use crate::sql::grammar::{fold, name_parts};
use crate::sql::parse::LineOffsets;
use crate::sql::session::GatewaySession;
use crate::sql::temporary::is_temporary;
use crate::sqlstate::{Severity, SqlError, SqlState};

pub async fn run(session: &mut GatewaySession, view: &CreateView, text: &str) -> Result<Response, SqlError> {
    if view.secure || view.to.is_some() {
        return Err(SqlError::unsupported("this kind of view").hint("Use CREATE VIEW, or CREATE TABLE AS for a stored result."));
    }
    let options = view_options(&view.options)?;
    let definition = query_text(text).ok_or_else(|| SqlError::new(SqlState::SyntaxError, "CREATE VIEW without its query"))?;
    let mut snapshot = session.catalog().refresh().await?;
    let mut parts = name_parts(&view.name)?;
    if view.temporary || reads_temporary(session, &snapshot, &view.query)? {
        if !view.temporary {
            let text = format!("view \"{}\" will be a temporary view", parts.last().map_or("", String::as_str));
            session.notice(SqlError::notice(Severity::Notice, SqlState::SuccessfulCompletion, text));
        }
        session.open_temporary_schema().await?;
        snapshot = session.catalog().refresh().await?;
        let schema = session.temporary_schema();
        match parts.as_mut_slice() {
            [_] => parts.insert(0, schema),
            [.., given, _] if given == "pg_temp" || *given == schema => *given = schema,
            _ => return Err(crate::sql::temporary::not_in_temporary_schema()),
        }
    }
    let name = session.scope(&snapshot).place(&snapshot, &parts)?;
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
    let names: Vec<String> = view.columns.iter().map(|column| fold(&column.name)).collect();
    let (columns, mut properties) = describe(session, &snapshot, &names, &view.query).await?;
    properties.extend(options);
    match existing {
        Some(old) => {
            session.catalog().replace_view(&session.principal, old.oid, columns, definition).await?;
            let mut updates: BTreeMap<String, Option<String>> = properties.into_iter().map(|(key, value)| (key, Some(value))).collect();
            // The options are those of the new definition.
            for option in VIEW_OPTIONS {
                updates.entry(option.to_owned()).or_insert(None);
            }
            let updates = vec![lakegate_catalog::ddl::RelationUpdate::SetProperties(updates)];
            session.catalog().update_relation(&session.principal, old.oid, updates).await?;
        }
        None => {
            let relation = NewRelation {
                columns,
                definition: Some(definition),
                comment: view.comment.clone(),
                properties,
                ..NewRelation::new(schema, name.name, RelationKind::View)
            };
            session.catalog().create_relation(&session.principal, relation).await?;
        }
    }
    Ok(Response::Command { tag: "CREATE VIEW".to_owned() })
}

/// What WITH (…) sets of [`VIEW_OPTIONS`], as properties; every other option is refused.
///
/// # Errors
/// 22023, 0A000.
pub fn view_options(options: &CreateTableOptions) -> Result<BTreeMap<String, String>, SqlError> {
    let options = match options {
        CreateTableOptions::None => return Ok(BTreeMap::new()),
        CreateTableOptions::With(options) | CreateTableOptions::Options(options) | CreateTableOptions::Plain(options) => options,
        CreateTableOptions::TableProperties(_) => return Err(SqlError::unsupported("properties of a view")),
    };
    let mut set = BTreeMap::new();
    for option in options {
        let (name, value) = match option {
            SqlOption::KeyValue { key, value } => (fold(key), value.to_string()),
            SqlOption::Ident(name) => (fold(name), "true".to_owned()),
            other => return Err(SqlError::unsupported(format!("the view option {other}"))),
        };
        if !VIEW_OPTIONS.contains(&name.as_str()) {
            return Err(match name.as_str() {
                "check_option" => SqlError::unsupported(format!("the view option {name}")),
                _ => SqlError::new(SqlState::InvalidParameterValue, format!("unrecognized parameter \"{name}\"")),
            });
        }
        let value = value.trim_matches('\'').to_ascii_lowercase();
        let value = match value.as_str() {
            "true" | "on" | "yes" | "1" => "true",
            "false" | "off" | "no" | "0" => "false",
            _ => {
                let message = format!("invalid value for boolean option \"{name}\": {value}");
                return Err(SqlError::new(SqlState::InvalidParameterValue, message));
            }
        };
        set.insert(name, value.to_owned());
    }
    Ok(set)
}

/// A view over temporary tables goes with them.
fn reads_temporary(session: &GatewaySession, snapshot: &Snapshot, query: &Query) -> Result<bool, SqlError> {
    let mut query = query.clone();
    let mentions = crate::sql::bind::qualify(&mut query, &session.scope(snapshot), snapshot)?;
    Ok(mentions.keys().any(|name| is_temporary(&name.schema)))
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

/// Plans the query once: its columns, and the properties that say what the names in it mean.
pub async fn describe(
    session: &mut GatewaySession,
    snapshot: &Arc<Snapshot>,
    names: &[String],
    query: &Query,
) -> Result<(Vec<Column>, BTreeMap<String, String>), SqlError> {
    let facts = session.facts(snapshot);
    let scope = session.scope(snapshot);
    let mut named = query.clone();
    let (mentions, written) = crate::sql::bind::qualify_recording(&mut named, &scope, snapshot)?;
    let depends_on: Vec<String> =
        mentions.keys().filter_map(|name| snapshot.relation_by_name(name)).map(|relation| relation.oid.to_string()).collect();
    let mut reads: Vec<ViewRead> = Vec::new();
    for (name, relation) in written {
        let Some(relation) = snapshot.relation_by_name(&relation) else { continue };
        if !reads.iter().any(|read| read.name == name) {
            let columns = relation.columns.iter().map(|column| (column.name.clone(), column.name.clone())).collect();
            reads.push(ViewRead { name, oid: relation.oid, columns });
        }
    }
    let path: Vec<&str> = scope.search_path.iter().map(String::as_str).filter(|schema| !is_temporary(schema)).collect();
    let reads = serde_json::to_string(&reads).map_err(|error| SqlError::new(SqlState::InternalError, error.to_string()))?;
    let properties = BTreeMap::from([
        (VIEW_SEARCH_PATH.to_owned(), path.join("\u{1f}")),
        (VIEW_DEPENDS_ON.to_owned(), depends_on.join(",")),
        (VIEW_READS.to_owned(), reads),
    ]);
    let mut statement = Box::new(Statement::Query(Box::new(query.clone())));
    let bound = session.binder(snapshot, &facts).bind(statement.as_mut(), &[]).await?;
    let prepared = session
        .engine()
        .prepare(BoundStatement {
            statement_id: Uuid::now_v7(),
            work: Work::Query(statement),
            relations: bound.relations,
            session: facts,
            parameter_types: Vec::new(),
            renewable: false,
            keeps_rows_after: None,
        })
        .await?;
    if !prepared.parameters().is_empty() {
        return Err(SqlError::new(SqlState::UndefinedParameter, "there is no parameter $1"));
    }
    let Some(schema) = prepared.result_schema() else {
        return Err(SqlError::new(SqlState::SyntaxError, "a view needs a query that answers rows"));
    };
    if names.len() > schema.fields().len() {
        return Err(SqlError::new(SqlState::SyntaxError, "CREATE VIEW specifies more column names than columns"));
    }
    let mut columns = Vec::new();
    for (index, field) in schema.fields().iter().enumerate() {
        let name = names.get(index).cloned().unwrap_or_else(|| field.name().clone());
        if columns.iter().any(|column: &Column| column.name == name) {
            return Err(SqlError::new(SqlState::DuplicateColumn, format!("column \"{name}\" specified more than once")));
        }
        columns.push(Column::new(name, pg_type(field)));
    }
    Ok((columns, properties))
}

/// What stands after the first AS outside parentheses.
pub fn query_text(text: &str) -> Option<String> {
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
