//! Policies and masks of a table, from their texts to expressions for an engine: names inside get their three parts, the table's own columns
//! stand under [`OWN_ROW`], and the relations of subqueries are bound with the rights of the role that reads the table, as PostgreSQL does.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use lakegate_catalog::authorize::{self, Access, AuthorizedTable, AuthorizedView, ColumnMask, RowRules, is_owner};
use lakegate_catalog::governance::{MASKED_VALUE, Policy, PolicyCommand, PolicyExpression};
use lakegate_catalog::model::{ObjectRef, Relation};
use lakegate_catalog::snapshot::kind_of;
use lakegate_engine_api::{OWN_ROW, RowCheck, RowPolicies, TablePolicies};
use sqlparser::ast::{self, BinaryOperator, Expr, Ident, Query, TableFactor, Value, Visit, VisitMut, Visitor, VisitorMut};

use super::qualify::{Mentions, qualify_view};
use super::{Binder, Bound, NameScope, Place};
use crate::sql::grammar::fold;
use crate::sqlstate::{SqlError, SqlState};

impl Binder<'_> {
    /// What the proof value says of rows and masks, `None` where it says nothing. `reads_target`: the statement changes the table and reads
    /// rows of it.
    ///
    /// # Errors
    /// 42501 where `row_security` is off, 42P17 for policies that need themselves, and what binding their subqueries gives.
    pub(super) async fn policies(
        &self,
        bound: &mut Bound,
        table: &AuthorizedTable,
        place: Place,
        reads_target: bool,
    ) -> Result<Option<Arc<TablePolicies>>, SqlError> {
        if !table.is_policed() {
            return Ok(None);
        }
        let relation = table.relation();
        if table.row_rules().is_some() && self.facts.settings.get("row_security").is_some_and(|value| value == "off") {
            return Err(self.row_security_is_off(relation, place));
        }
        let mut mentions = Mentions::new();
        let rows = table.row_rules().map(|rules| self.rows(rules, table, &mut mentions, reads_target)).transpose()?;
        let masks = self.masks(table.masks(), relation, &mut mentions)?;
        self.bind_inside(bound, relation, &mentions, place).await?;
        Ok(Some(Arc::new(TablePolicies { rows, masks })))
    }

    /// The same of a view, which has masks alone, or is a barrier for the conditions of statements.
    ///
    /// # Errors
    /// As [`Binder::policies`].
    pub(super) async fn view_masks(
        &self,
        bound: &mut Bound,
        view: &AuthorizedView,
        place: Place,
    ) -> Result<Option<Arc<TablePolicies>>, SqlError> {
        if view.masks().is_empty() && !view.relation().is_security_barrier() {
            return Ok(None);
        }
        let mut mentions = Mentions::new();
        let masks = self.masks(view.masks(), view.relation(), &mut mentions)?;
        self.bind_inside(bound, view.relation(), &mentions, place).await?;
        Ok(Some(Arc::new(TablePolicies { rows: None, masks })))
    }

    fn masks(&self, masks: &[ColumnMask], relation: &Relation, mentions: &mut Mentions) -> Result<Vec<(String, Expr)>, SqlError> {
        let mut bound = Vec::new();
        for mask in masks {
            for expression in &mask.expressions {
                bound.push((mask.column.clone(), self.expression(expression, relation, Some(&mask.column), mentions)?));
            }
        }
        Ok(bound)
    }

    /// The relations that policies and masks of a relation name.
    async fn bind_inside(&self, bound: &mut Bound, relation: &Relation, mentions: &Mentions, place: Place) -> Result<(), SqlError> {
        if bound.policing.contains(&relation.oid) {
            let text = format!("infinite recursion detected in policy for relation \"{}\"", relation.name);
            return Err(SqlError::new(SqlState::InvalidObjectDefinition, text));
        }
        for name in mentions.keys().filter(|name| bound.relation(name, place.runs_as()).is_some()) {
            // As the target of the statement it may be open for writing alone.
            if self.snapshot.relation_by_name(name).is_some_and(|relation| relation.is_stored()) {
                let opened = authorize::open_table(self.snapshot, &place.principal, name, Access::SELECT);
                opened.map_err(|error| denied_inside(error.into(), relation))?;
            }
        }
        bound.policing.push(relation.oid);
        let done = self.bind_mentions(bound, mentions, place.inside(place.principal)).await;
        bound.policing.pop();
        done.map_err(|error| denied_inside(error, relation))
    }

    fn row_security_is_off(&self, relation: &Relation, place: Place) -> SqlError {
        let text = format!("query would be affected by row-level security policy for table \"{}\"", relation.name);
        let error = SqlError::new(SqlState::InsufficientPrivilege, text);
        match is_owner(self.snapshot, place.principal.current_role, ObjectRef::Relation(relation.oid)) {
            true => error.hint("To disable the policy for the table's owner, use ALTER TABLE NO FORCE ROW LEVEL SECURITY."),
            false => error,
        }
    }

    /// Of what is done to the table alone: what nobody asks for is denied without a look at its policies.
    fn rows(
        &self,
        rules: &RowRules,
        table: &AuthorizedTable,
        mentions: &mut Mentions,
        reads_target: bool,
    ) -> Result<RowPolicies, SqlError> {
        let (relation, access) = (table.relation(), table.access());
        let mut using = |command, asked: bool| -> Result<Expr, SqlError> {
            if !asked {
                return Ok(any_of(Vec::new()));
            }
            let mut of = |policy: &Policy| policy.using.as_ref().map(|using| self.expression(using, relation, None, mentions)).transpose();
            let permissive = each(rules.permissive(command), &mut of)?;
            let restrictive = each(rules.restrictive(command), &mut of)?;
            Ok(restrictive.into_iter().fold(any_of(permissive), |all, one| joined(all, BinaryOperator::And, one)))
        };
        let (select, update, delete) = (
            using(PolicyCommand::Select, access.select || access.update || access.delete)?,
            using(PolicyCommand::Update, access.update)?,
            using(PolicyCommand::Delete, access.delete)?,
        );
        let mut checks = |command, asked: bool| -> Result<Vec<RowCheck>, SqlError> {
            if !asked {
                return Ok(vec![RowCheck { policy: None, condition: any_of(Vec::new()) }]);
            }
            let mut of = |policy: &Policy| policy.checked().map(|check| self.expression(check, relation, None, mentions)).transpose();
            let mut checks = vec![RowCheck { policy: None, condition: any_of(each(rules.permissive(command), &mut of)?) }];
            for policy in rules.restrictive(command) {
                let condition = of(policy)?;
                checks.extend(condition.map(|condition| RowCheck { policy: Some(policy.name.clone()), condition }));
            }
            Ok(checks)
        };
        let (insert_checks, update_checks) = (checks(PolicyCommand::Insert, access.insert)?, checks(PolicyCommand::Update, access.update)?);
        Ok(RowPolicies { select, update, delete, insert_checks, update_checks, reads_target })
    }

    /// `mask_of`: the column that a mask's `value` is.
    fn expression(
        &self,
        expression: &PolicyExpression,
        relation: &Relation,
        mask_of: Option<&str>,
        mentions: &mut Mentions,
    ) -> Result<Expr, SqlError> {
        if let Some(gone) = expression.reads.iter().find(|read| self.snapshot.relation_by_oid(read.oid).is_none()) {
            // Another relation of that name is not what was meant.
            return Err(super::undefined(&gone.name));
        }
        let mut expr = crate::sql::parse::parse_expression(&expression.text)?;
        let mut own = OwnColumns {
            table: &expression.table,
            columns: relation.columns.iter().map(|column| column.name.as_str()).collect(),
            mask_of,
            around: Vec::new(),
        };
        let _: ControlFlow<()> = VisitMut::visit(&mut expr, &mut own);
        let scope = NameScope { database: expression.database.clone(), search_path: expression.search_path.clone() };
        for (name, count) in qualify_view(&mut expr, &scope, self.snapshot, &expression.reads)? {
            *mentions.entry(name).or_default() += count;
        }
        Ok(expr)
    }
}

/// The relations that a policy's subquery reads may be unknown to the role that lacks a privilege on them.
fn denied_inside(error: SqlError, relation: &Relation) -> SqlError {
    if error.state != SqlState::InsufficientPrivilege {
        return error;
    }
    let reads = |policy: &&Policy| policy.using.iter().chain(&policy.check).any(|expression| !expression.reads.is_empty());
    let names: Vec<String> = relation.row_security.policies.iter().filter(reads).map(|policy| format!("\"{}\"", policy.name)).collect();
    let what = if names.is_empty() { "A mask".to_owned() } else { format!("Policy {}", names.join(", ")) };
    SqlError::new(
        error.state,
        format!("permission denied for a relation that a policy of {} \"{}\" reads", kind_of(relation).word(), relation.name),
    )
    .detail(format!("{what} reads it with the privileges of the role that reads the table."))
    .hint("The owner of that relation can grant SELECT on it, or the policy can read a view in its place.")
}

fn each<'p>(
    policies: impl Iterator<Item = &'p Policy>,
    of: &mut impl FnMut(&'p Policy) -> Result<Option<Expr>, SqlError>,
) -> Result<Vec<Expr>, SqlError> {
    policies.filter_map(|policy| of(policy).transpose()).collect()
}

/// False where there is none: what no policy permits is denied.
fn any_of(conditions: Vec<Expr>) -> Expr {
    let any = conditions.into_iter().reduce(|one, other| joined(one, BinaryOperator::Or, other));
    any.unwrap_or_else(|| Expr::Value(Value::Boolean(false).into()))
}

fn joined(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    let nested = |expr: Expr| Box::new(Expr::Nested(Box::new(expr)));
    Expr::BinaryOp { left: nested(left), op, right: nested(right) }
}

/// Gives the table's own columns the name of the row. A name without a table inside a subquery stays: it is looked for in the subquery first.
struct OwnColumns<'a> {
    /// The table's name when the text was written.
    table: &'a str,
    columns: BTreeSet<&'a str>,
    mask_of: Option<&'a str>,
    /// The names of what each query around selects from.
    around: Vec<BTreeSet<String>>,
}

impl VisitorMut for OwnColumns<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.around.push(selected_from(query));
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.around.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let column = match expr {
            Expr::Identifier(name) => {
                let name = fold(name);
                match self.mask_of {
                    Some(masked) if name == MASKED_VALUE => Some(masked.to_owned()),
                    _ if self.around.is_empty() && self.columns.contains(name.as_str()) => Some(name),
                    _ => None,
                }
            }
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [.., table, column] if fold(table) == self.table && !self.around.iter().any(|names| names.contains(self.table)) => {
                    Some(fold(column))
                }
                _ => None,
            },
            _ => None,
        };
        if let Some(column) = column {
            *expr = Expr::CompoundIdentifier(vec![Ident::with_quote('"', OWN_ROW), Ident::with_quote('"', column)]);
        }
        ControlFlow::Continue(())
    }
}

/// Names that stand before a column in a query, those of queries inside it among them.
#[must_use]
pub fn selected_from(query: &Query) -> BTreeSet<String> {
    struct Names(BTreeSet<String>);
    impl Visitor for Names {
        type Break = ();
        fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
            let name = match factor {
                TableFactor::Table { alias: Some(alias), .. }
                | TableFactor::Derived { alias: Some(alias), .. }
                | TableFactor::TableFunction { alias: Some(alias), .. }
                | TableFactor::Function { alias: Some(alias), .. }
                | TableFactor::UNNEST { alias: Some(alias), .. }
                | TableFactor::NestedJoin { alias: Some(alias), .. } => Some(fold(&alias.name)),
                TableFactor::Table { name, .. } => name.0.last().and_then(ast::ObjectNamePart::as_ident).map(fold),
                _ => None,
            };
            self.0.extend(name);
            ControlFlow::Continue(())
        }
    }
    let mut names = Names(BTreeSet::new());
    let _: ControlFlow<()> = query.visit(&mut names);
    names.0
}
