//! `pg_constraint`: CHECK constraints, which are enforced, and keys, which inform.

use arrow_array::RecordBatch;
use lakegate_catalog::model::{Constraint, ConstraintKind, Relation};

use crate::pg_catalog::Context;
use crate::pg_catalog::cells::Columns;
use crate::pg_catalog::recorded::Recorded;
use crate::sqlstate::SqlError;

pub fn rows(relation: &'static Recorded, context: &Context<'_>) -> Result<Vec<RecordBatch>, SqlError> {
    let stored = context.objects().stored();
    let constraints: Vec<(&Relation, &Constraint)> =
        stored.iter().flat_map(|relation| relation.constraints.iter().map(move |constraint| (*relation, constraint))).collect();
    Columns::over(relation, &constraints)
        .put("oid", |(_, constraint)| constraint.oid)
        .put("conname", |(_, constraint)| &constraint.name)
        .put("connamespace", |(relation, _)| relation.schema)
        .put("contype", |(_, constraint)| kind(constraint))
        .all("condeferrable", false)
        .all("condeferred", false)
        .all("convalidated", true)
        .put("conrelid", |(relation, _)| relation.oid)
        .all("contypid", 0)
        .put("conindid", |(_, constraint)| if is_key(constraint) { constraint.oid } else { 0 })
        .all("conparentid", 0)
        .all("confrelid", 0)
        .all("confupdtype", " ")
        .all("confdeltype", " ")
        .all("confmatchtype", " ")
        .all("conislocal", true)
        .all("coninhcount", 0)
        .put("connoinherit", |(_, constraint)| is_key(constraint))
        .put("conkey", |(relation, constraint)| columns(relation, constraint))
        .put("conbin", |(_, constraint)| match &constraint.kind {
            ConstraintKind::Check(expression) => Some(expression),
            _ => None,
        })
        .finish()
}

/// How many CHECK constraints a table has.
pub fn checks(relation: &Relation) -> i64 {
    let checks = relation.constraints.iter().filter(|constraint| !is_key(constraint)).count();
    i64::try_from(checks).unwrap_or(i64::MAX)
}

/// `contype`.
pub fn kind(constraint: &Constraint) -> &'static str {
    match constraint.kind {
        ConstraintKind::Check(_) => "c",
        ConstraintKind::PrimaryKey(_) => "p",
        ConstraintKind::Unique(_) => "u",
    }
}

pub fn is_key(constraint: &Constraint) -> bool {
    !matches!(constraint.kind, ConstraintKind::Check(_))
}

/// Numbers of the columns that a constraint names; of a CHECK those whose name its text mentions.
pub fn columns(relation: &Relation, constraint: &Constraint) -> Option<Vec<i64>> {
    let number = |name: &String| relation.column(name).and_then(|(at, _)| i64::try_from(at + 1).ok());
    match &constraint.kind {
        ConstraintKind::PrimaryKey(names) | ConstraintKind::Unique(names) => Some(names.iter().filter_map(number).collect()),
        ConstraintKind::Check(expression) => {
            let mentioned = mentioned_names(expression);
            let numbers: Vec<i64> = relation
                .columns
                .iter()
                .filter(|column| mentioned.contains(&column.name))
                .filter_map(|column| number(&column.name))
                .collect();
            (!numbers.is_empty()).then_some(numbers)
        }
    }
}

fn mentioned_names(expression: &str) -> Vec<String> {
    let Ok(mut parsed) = crate::sql::parse::parse_expression(expression) else { return Vec::new() };
    let mut names = Vec::new();
    let _: std::ops::ControlFlow<()> = sqlparser::ast::visit_expressions_mut(&mut parsed, |expr| {
        match expr {
            sqlparser::ast::Expr::Identifier(ident) => names.push(crate::sql::grammar::fold(ident)),
            sqlparser::ast::Expr::CompoundIdentifier(parts) => names.extend(parts.last().map(crate::sql::grammar::fold)),
            _ => {}
        }
        std::ops::ControlFlow::Continue(())
    });
    names
}
