//! `pg_constraint`: CHECK constraints, which are enforced, and keys, which inform.

use arrow_array::RecordBatch;
use lakegate_catalog::model::{Constraint, ConstraintKind, ForeignKey, Relation};

use crate::pg_catalog::Context;
use crate::pg_catalog::cells::Columns;
use crate::pg_catalog::recorded::Recorded;
use crate::pg_catalog::typed_text::check_text;
use crate::sqlstate::SqlError;

pub fn rows(relation: &'static Recorded, context: &Context<'_>) -> Result<Vec<RecordBatch>, SqlError> {
    let stored = context.objects().stored();
    let constraints: Vec<(&Relation, &Constraint)> =
        stored.iter().flat_map(|relation| relation.constraints.iter().map(move |constraint| (*relation, constraint))).collect();
    Columns::over(relation, &constraints)
        .only(context.columns)
        .put("oid", |(_, constraint)| constraint.oid)
        .put("conname", |(_, constraint)| &constraint.name)
        .put("connamespace", |(relation, _)| relation.schema)
        .put("contype", |(_, constraint)| kind(constraint))
        .put("condeferrable", |(_, constraint)| foreign(constraint).is_some_and(|key| key.deferrable))
        .put("condeferred", |(_, constraint)| foreign(constraint).is_some_and(|key| key.initially_deferred))
        .all("convalidated", true)
        .put("conrelid", |(relation, _)| relation.oid)
        .all("contypid", 0)
        .put("conindid", |(_, constraint)| match foreign(constraint) {
            Some(key) => referenced_index(context, key),
            None if is_key(constraint) => constraint.oid,
            None => 0,
        })
        .all("conparentid", 0)
        .put("confrelid", |(_, constraint)| foreign(constraint).map_or(0, |key| key.table))
        .put("confupdtype", |(_, constraint)| foreign(constraint).map_or(' ', |key| key.on_update).to_string())
        .put("confdeltype", |(_, constraint)| foreign(constraint).map_or(' ', |key| key.on_delete).to_string())
        .put("confmatchtype", |(_, constraint)| foreign(constraint).map_or(' ', |key| key.matching).to_string())
        .all("conislocal", true)
        .all("coninhcount", 0)
        .put("connoinherit", |(_, constraint)| !matches!(constraint.kind, ConstraintKind::Check(_)))
        .put("conkey", |(relation, constraint)| columns(relation, constraint))
        .put("confkey", |(_, constraint)| {
            let key = foreign(constraint)?;
            let table = context.snapshot.relation_by_oid(key.table)?;
            let number = |name: &String| table.column(name).and_then(|(at, _)| i64::try_from(at + 1).ok());
            Some(key.referenced.iter().filter_map(number).collect::<Vec<i64>>())
        })
        .put("conbin", |(relation, constraint)| match &constraint.kind {
            ConstraintKind::Check(expression) => Some(check_text(expression, &relation.columns, false)),
            _ => None,
        })
        .finish()
}

fn foreign(constraint: &Constraint) -> Option<&ForeignKey> {
    match &constraint.kind {
        ConstraintKind::ForeignKey(key) => Some(key),
        _ => None,
    }
}

/// The key of the other table that a foreign key rests on.
pub fn referenced_index(context: &Context<'_>, key: &ForeignKey) -> u32 {
    let table = context.snapshot.relation_by_oid(key.table);
    let rests = |other: &&Constraint| {
        other.kind.is_index() && {
            let (mut own, mut referenced) = (other.kind.columns().to_vec(), key.referenced.clone());
            own.sort();
            referenced.sort();
            own == referenced
        }
    };
    table.and_then(|table| table.constraints.iter().find(rests)).map_or(0, |constraint| constraint.oid)
}

/// How many CHECK constraints a table has.
pub fn checks(relation: &Relation) -> i64 {
    let checks = relation.constraints.iter().filter(|constraint| matches!(constraint.kind, ConstraintKind::Check(_))).count();
    i64::try_from(checks).unwrap_or(i64::MAX)
}

/// `contype`.
pub fn kind(constraint: &Constraint) -> &'static str {
    match constraint.kind {
        ConstraintKind::Check(_) => "c",
        ConstraintKind::PrimaryKey(_) => "p",
        ConstraintKind::Unique(_) => "u",
        ConstraintKind::ForeignKey(_) => "f",
    }
}

pub fn is_key(constraint: &Constraint) -> bool {
    constraint.kind.is_index()
}

/// Numbers of the columns that a constraint names; of a CHECK those whose name its text mentions.
pub fn columns(relation: &Relation, constraint: &Constraint) -> Option<Vec<i64>> {
    let number = |name: &String| relation.column(name).and_then(|(at, _)| i64::try_from(at + 1).ok());
    match &constraint.kind {
        ConstraintKind::PrimaryKey(_) | ConstraintKind::Unique(_) | ConstraintKind::ForeignKey(_) => {
            Some(constraint.kind.columns().iter().filter_map(number).collect())
        }
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
