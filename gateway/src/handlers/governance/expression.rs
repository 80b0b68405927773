//! Expressions of policies and masks, looked at when they are made: planned over their table, with what their names mean written down.

use std::ops::ControlFlow;
use std::sync::Arc;

use lakegate_catalog::Snapshot;
use lakegate_catalog::governance::{MASKED_VALUE, MaskingPolicy, PolicyExpression};
use lakegate_catalog::model::{Column, Oid, PgType, Relation, ViewRead};
use lakegate_engine_api::{BoundStatement, Prepared, Work, pg_type};
use sqlparser::ast::{self, Expr, Ident, SelectItem, SetExpr, Statement, TableFactor};
use uuid::Uuid;

use crate::sql::bind::{object_name, qualify_recording, undefined};
use crate::sql::grammar::fold;
use crate::sql::parse::{parse_expression, parse_query};
use crate::sql::session::GatewaySession;
use crate::sql::temporary::is_temporary;
use crate::sqlstate::{SqlError, SqlState};

/// USING or WITH CHECK.
///
/// # Errors
/// 42703, 42804, 42803, 42P20, 0A000, 42P02 as PostgreSQL's for policies.
pub(super) async fn condition(
    session: &mut GatewaySession,
    snapshot: &Arc<Snapshot>,
    table: &Relation,
    expr: &Expr,
) -> Result<PolicyExpression, SqlError> {
    let recorded = recorded(session, snapshot, Some(table), expr)?;
    let given = planned(session, snapshot, table, expr.clone()).await?;
    if given.oid != PgType::BOOL.oid && given.oid != PgType::UNKNOWN.oid {
        let text = format!("argument of POLICY must be type boolean, not type {}", crate::wire::pg_types::type_name(given.oid));
        return Err(SqlError::new(SqlState::DatatypeMismatch, text));
    }
    Ok(recorded)
}

/// The mask of one column.
///
/// # Errors
/// As [`condition`]; 42846 and its kin where it cannot be cast to the column's type.
pub(super) async fn mask(
    session: &mut GatewaySession,
    snapshot: &Arc<Snapshot>,
    table: &Relation,
    column: &Column,
    expr: &Expr,
) -> Result<PolicyExpression, SqlError> {
    let recorded = recorded(session, snapshot, Some(table), expr)?;
    let mut over_column = expr.clone();
    let _: ControlFlow<()> = ast::visit_expressions_mut(&mut over_column, |expr| {
        if matches!(expr, Expr::Identifier(name) if fold(name) == MASKED_VALUE) {
            *expr = Expr::CompoundIdentifier(vec![Ident::with_quote('"', &table.name), Ident::with_quote('"', &column.name)]);
        }
        ControlFlow::Continue(())
    });
    planned(session, snapshot, table, over_column.clone()).await?;
    planned(session, snapshot, table, as_type(session, snapshot, over_column, column.data_type)?).await?;
    Ok(recorded)
}

/// The mask of a masking policy: over `value` alone.
///
/// # Errors
/// 42P01 for relations of subqueries that are not there, 42601.
pub(super) fn tag_mask(session: &GatewaySession, snapshot: &Snapshot, expr: &Expr) -> Result<PolicyExpression, SqlError> {
    recorded(session, snapshot, None, expr)
}

/// The columns that a masking policy is for.
pub(super) fn bound_columns(snapshot: &Snapshot, database: Oid, policy: &MaskingPolicy) -> Vec<(Arc<Relation>, Column)> {
    let relations = snapshot.schemas_in_database(database).flat_map(|schema| snapshot.relations_in_schema(schema.oid));
    relations
        .filter(|relation| relation.is_stored())
        .flat_map(|relation| {
            let bound = relation.columns.iter().filter(|column| policy.binds(&column.tags));
            bound.map(|column| (Arc::clone(relation), column.clone()))
        })
        .collect()
}

fn recorded(session: &GatewaySession, snapshot: &Snapshot, table: Option<&Relation>, expr: &Expr) -> Result<PolicyExpression, SqlError> {
    let text = expr.to_string();
    // It is read from its text from now on.
    let mut named = parse_expression(&text)?;
    let scope = session.scope(snapshot);
    let (_, written) = qualify_recording(&mut named, &scope, snapshot)?;
    let mut reads: Vec<ViewRead> = Vec::new();
    for (name, relation) in written {
        if is_temporary(&relation.schema) {
            return Err(SqlError::unsupported("a policy that reads a temporary table"));
        }
        let Some(relation) = snapshot.relation_by_name(&relation) else { continue };
        if !reads.iter().any(|read| read.name == name) {
            let columns = relation.columns.iter().map(|column| (column.name.clone(), column.name.clone())).collect();
            reads.push(ViewRead { name, oid: relation.oid, columns });
        }
    }
    let search_path = scope.search_path.into_iter().filter(|schema| !is_temporary(schema)).collect();
    let table = table.map(|table| table.name.clone()).unwrap_or_default();
    Ok(PolicyExpression { text, table, database: scope.database, search_path, reads })
}

/// The type of the expression over the table's rows.
async fn planned(session: &mut GatewaySession, snapshot: &Arc<Snapshot>, table: &Relation, expr: Expr) -> Result<PgType, SqlError> {
    let name = snapshot.name_of(table).ok_or_else(|| undefined(std::slice::from_ref(&table.name)))?;
    let mut query = parse_query("SELECT 1 FROM t WHERE true")?;
    if let SetExpr::Select(select) = query.body.as_mut() {
        // A condition may hold no aggregate and no window.
        let condition = Expr::IsNotNull(Box::new(Expr::Nested(Box::new(expr.clone()))));
        select.selection = Some(condition);
        select.projection = vec![SelectItem::UnnamedExpr(expr)];
        if let Some(TableFactor::Table { name: from, .. }) = select.from.first_mut().map(|from| &mut from.relation) {
            *from = object_name(&name);
        }
    }
    let facts = session.facts(snapshot);
    let mut statement = Box::new(Statement::Query(Box::new(query)));
    let bound = session.binder(snapshot, &facts).bind(statement.as_mut(), &[]).await?;
    let statement = BoundStatement {
        statement_id: Uuid::now_v7(),
        work: Work::Query(statement),
        relations: bound.relations,
        session: facts,
        parameter_types: Vec::new(),
        renewable: false,
        keeps_rows_after: None,
    };
    let prepared: Arc<dyn Prepared> = session.engine().prepare(statement).await.map_err(|error| of_policies(error.into()))?;
    if !prepared.parameters().is_empty() {
        return Err(SqlError::new(SqlState::UndefinedParameter, "there is no parameter $1"));
    }
    let field = prepared.result_schema().and_then(|schema| schema.fields().first().cloned());
    field.map(|field| pg_type(&field)).ok_or_else(|| SqlError::new(SqlState::InternalError, "an expression has a type"))
}

/// What planning says of a condition, said of a policy.
fn of_policies(mut error: SqlError) -> SqlError {
    if matches!(error.state, SqlState::GroupingError | SqlState::WindowingError | SqlState::FeatureNotSupported) {
        error.message = error.message.replace("in WHERE", "in policy expressions");
    }
    error
}

fn as_type(session: &GatewaySession, snapshot: &Arc<Snapshot>, expr: Expr, wanted: PgType) -> Result<Expr, SqlError> {
    let facts = session.facts(snapshot);
    let name = facts.lookup.type_name(wanted.oid).map(|(_, name)| name).unwrap_or_else(|| "text".to_owned());
    let name = name.strip_prefix('_').map_or_else(|| name.clone(), |element| format!("{element}[]"));
    let mut cast = parse_expression(&format!("CAST(NULL AS {name})"))?;
    if let Expr::Cast { expr: inner, .. } = &mut cast {
        **inner = Expr::Nested(Box::new(expr));
    }
    Ok(cast)
}
