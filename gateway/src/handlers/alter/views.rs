//! Views that use a column: found by planning their queries without it.

use std::sync::Arc;

use lakegate_catalog::Snapshot;
use lakegate_catalog::model::{Oid, Relation, RelationKind, ViewRead};
use lakegate_engine_api::{BoundStatement, Work};
use sqlparser::ast::Statement;
use uuid::Uuid;

use crate::sql::session::GatewaySession;
use crate::sqlstate::SqlError;

/// Views, materialized ones too, whose own query uses a column of the relation.
///
/// # Errors
/// None of the planning: a view whose query cannot be planned without the column uses it.
pub async fn dependent_views(
    session: &GatewaySession,
    snapshot: &Arc<Snapshot>,
    relation: &Relation,
    column: &str,
) -> Result<Vec<Arc<Relation>>, SqlError> {
    let mut found = Vec::new();
    for view in snapshot.relations() {
        let reads = view.view_reads().unwrap_or_default();
        let named = reads.iter().any(|read| read.oid == relation.oid);
        let is_view = matches!(view.kind, RelationKind::View | RelationKind::MaterializedView);
        if is_view && named && uses(session, snapshot, view, reads, relation.oid, column).await {
            found.push(Arc::clone(view));
        }
    }
    Ok(found)
}

async fn uses(
    session: &GatewaySession,
    snapshot: &Arc<Snapshot>,
    view: &Relation,
    mut reads: Vec<ViewRead>,
    of: Oid,
    column: &str,
) -> bool {
    if view.definition.as_deref().is_none_or(has_natural_join) {
        // It would go on with other columns.
        return true;
    }
    for read in reads.iter_mut().filter(|read| read.oid == of) {
        read.columns.retain(|(_, now)| now != column);
        if read.columns.is_empty() {
            return true;
        }
    }
    let facts = session.facts(snapshot);
    let Ok((query, bound)) = session.binder(snapshot, &facts).bind_definition(view, &reads).await else { return true };
    let statement = BoundStatement {
        statement_id: Uuid::now_v7(),
        work: Work::Query(Box::new(Statement::Query(Box::new(query)))),
        relations: bound.relations,
        session: facts,
        parameter_types: Vec::new(),
        renewable: false,
        keeps_rows_after: None,
    };
    match session.engine().prepare(statement).await {
        Ok(prepared) => prepared.result_schema().is_none_or(|schema| schema.fields().len() != view.columns.len()),
        Err(_) => true,
    }
}

fn has_natural_join(definition: &str) -> bool {
    use sqlparser::ast::{JoinConstraint, JoinOperator, Query, SetExpr, TableWithJoins, Visit, Visitor};
    use std::ops::ControlFlow;
    struct Natural;
    impl Visitor for Natural {
        type Break = ();
        fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
            fn natural(from: &TableWithJoins) -> bool {
                from.joins.iter().any(|join| match &join.join_operator {
                    JoinOperator::Join(constraint)
                    | JoinOperator::Inner(constraint)
                    | JoinOperator::Left(constraint)
                    | JoinOperator::LeftOuter(constraint)
                    | JoinOperator::Right(constraint)
                    | JoinOperator::RightOuter(constraint)
                    | JoinOperator::FullOuter(constraint) => matches!(constraint, JoinConstraint::Natural),
                    _ => false,
                })
            }
            match query.body.as_ref() {
                SetExpr::Select(select) if select.from.iter().any(natural) => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        }
    }
    crate::sql::parse::parse_query(definition).map_or(true, |query| query.visit(&mut Natural).is_break())
}
