//! `pg_depend`: what views read, and what belongs to tables: row types, keys, indexes, defaults, sequences.

use arrow_array::RecordBatch;
use lakegate_catalog::model::{ConstraintKind, Oid, Relation};
use sqlparser::ast::{Expr, SelectItem, SelectItemQualifiedWildcardKind, TableFactor, Visit, Visitor};

use super::constraint;
use super::rewrite::rule_oid;
use crate::handlers::column_text::sequence_of_default;
use crate::pg_catalog::Context;
use crate::pg_catalog::cells::Columns;
use crate::pg_catalog::recorded::Recorded;
use crate::sql::grammar::fold;
use crate::sql::parse::parse_query;
use crate::sqlstate::SqlError;

const PG_TYPE: Oid = 1247;
const PG_CLASS: Oid = 1259;
const PG_ATTRDEF: Oid = 2604;
const PG_CONSTRAINT: Oid = 2606;
const PG_NAMESPACE: Oid = 2615;
const PG_REWRITE: Oid = 2618;
const PUBLIC: &str = "public";

/// A class and an object of it, then the same of what it depends on, with a column.
struct Row {
    of: (Oid, Oid),
    on: (Oid, Oid),
    column: i32,
    kind: &'static str,
}

pub fn rows(relation: &'static Recorded, context: &Context<'_>) -> Result<Vec<RecordBatch>, SqlError> {
    let objects = context.objects();
    let mut rows = Vec::new();
    for stored in objects.stored() {
        let mut row = |of, on, column: usize, kind| rows.push(Row { of, on, column: i32::try_from(column).unwrap_or(0), kind });
        let own = (PG_CLASS, stored.oid);
        if context.snapshot.schema_by_oid(stored.schema).is_some_and(|schema| schema.name != PUBLIC) {
            row(own, (PG_NAMESPACE, stored.schema), 0, "n");
        }
        row((PG_TYPE, stored.type_oid), own, 0, "i");
        for key in &stored.constraints {
            for number in constraint::columns(stored, key).unwrap_or_default() {
                row((PG_CONSTRAINT, key.oid), own, usize::try_from(number).unwrap_or(0), "a");
            }
            if let ConstraintKind::ForeignKey(foreign) = &key.kind
                && let Some(referenced) = context.snapshot.relation_by_oid(foreign.table)
            {
                for number in foreign.referenced.iter().filter_map(|name| referenced.column(name)).map(|(at, _)| at + 1) {
                    row((PG_CONSTRAINT, key.oid), (PG_CLASS, foreign.table), number, "n");
                }
            }
            if let ConstraintKind::ForeignKey(foreign) = &key.kind {
                let index = constraint::referenced_index(context, foreign);
                if index != 0 {
                    row((PG_CONSTRAINT, key.oid), (PG_CLASS, index), 0, "n");
                }
            }
            if constraint::is_key(key) {
                row((PG_CLASS, key.oid), (PG_CONSTRAINT, key.oid), 0, "i");
            }
        }
        for (number, column) in (1_usize..).zip(&stored.columns) {
            let Some(text) = column.generated.as_ref().or(column.default.as_ref()).filter(|_| column.identity.is_none()) else { continue };
            let default = (PG_ATTRDEF, super::attrdef::oid(stored, number));
            row(default, own, number, "a");
            if let Some(sequence) = sequence_of_default(text) {
                row(default, (PG_CLASS, sequence), 0, "n");
            }
        }
        for index in &stored.indexes {
            for number in index.columns.iter().filter_map(|column| stored.column(&column.name)).map(|(at, _)| at + 1) {
                row((PG_CLASS, index.oid), own, number, "a");
            }
        }
        if let Some(sequence) = &stored.sequence
            && let Some((table, column)) = &sequence.owned_by
            && let Some((at, _)) = context.snapshot.relation_by_oid(*table).and_then(|table| table.column(column))
        {
            row(own, (PG_CLASS, *table), at + 1, if sequence.of_identity { "i" } else { "a" });
        }
        let Some(definition) = stored.definition.as_deref() else { continue };
        let rule = (PG_REWRITE, rule_oid(stored));
        row(rule, own, 0, "i");
        row(rule, own, 0, "n");
        let mentions = Mentions::of(definition);
        for read in stored.depends_on().filter_map(|oid| objects.visible(context.snapshot.relation_by_oid(oid)?)) {
            let columns = mentions.columns(read);
            if columns.is_empty() {
                row(rule, (PG_CLASS, read.oid), 0, "n");
            }
            for number in columns {
                row(rule, (PG_CLASS, read.oid), number, "n");
            }
        }
    }
    Columns::over(relation, &rows)
        .only(context.columns)
        .put("classid", |row| row.of.0)
        .put("objid", |row| row.of.1)
        .all("objsubid", 0)
        .put("refclassid", |row| row.on.0)
        .put("refobjid", |row| row.on.1)
        .put("refobjsubid", |row| row.column)
        .put("deptype", |row| row.kind)
        .finish()
}

/// Columns that a query's text mentions, and the names under which it knows relations.
#[derive(Default)]
struct Mentions {
    /// Alias, then the relation's own name.
    relations: Vec<(String, String)>,
    /// Qualifier, then column.
    columns: Vec<(Option<String>, String)>,
    /// Qualifiers of `q.*`; `None` for `*` alone.
    wildcards: Vec<Option<String>>,
}

impl Mentions {
    fn of(definition: &str) -> Mentions {
        let mut mentions = Mentions::default();
        if let Ok(query) = parse_query(definition) {
            let _: std::ops::ControlFlow<()> = query.visit(&mut mentions);
        }
        mentions
    }

    /// Numbers of the columns of a relation that the text can mean.
    fn columns(&self, relation: &Relation) -> Vec<usize> {
        let known: Vec<&String> = self.relations.iter().filter(|(_, name)| *name == relation.name).map(|(alias, _)| alias).collect();
        let means = |qualifier: &Option<String>| qualifier.as_ref().is_none_or(|qualifier| known.contains(&qualifier));
        let all = self.wildcards.iter().any(means);
        let mentioned = |name: &String| all || self.columns.iter().any(|(qualifier, column)| column == name && means(qualifier));
        (1..).zip(&relation.columns).filter(|(_, column)| mentioned(&column.name)).map(|(number, _)| number).collect()
    }
}

impl Visitor for Mentions {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> std::ops::ControlFlow<()> {
        if let TableFactor::Table { name, alias, .. } = factor
            && let Some(own) = name.0.last().and_then(|part| part.as_ident()).map(fold)
        {
            let alias = alias.as_ref().map_or_else(|| own.clone(), |alias| fold(&alias.name));
            self.relations.push((alias, own));
        }
        std::ops::ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &sqlparser::ast::Select) -> std::ops::ControlFlow<()> {
        for item in &select.projection {
            match item {
                SelectItem::Wildcard(_) => self.wildcards.push(None),
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                    self.wildcards.push(name.0.last().and_then(|part| part.as_ident()).map(fold));
                }
                _ => {}
            }
        }
        std::ops::ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> std::ops::ControlFlow<()> {
        match expr {
            Expr::Identifier(column) => self.columns.push((None, fold(column))),
            Expr::CompoundIdentifier(parts) => {
                if let [.., qualifier, column] = parts.as_slice() {
                    self.columns.push((Some(fold(qualifier)), fold(column)));
                }
            }
            _ => {}
        }
        std::ops::ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_query() {
        let mentions = Mentions::of("SELECT o.id, c.*, amount FROM shop.orders o JOIN shop.customers c ON c.id = o.customer_id");
        assert_eq!(mentions.relations, [("o".to_owned(), "orders".to_owned()), ("c".to_owned(), "customers".to_owned())]);
        assert_eq!(mentions.wildcards, [Some("c".to_owned())]);
        assert!(mentions.columns.contains(&(None, "amount".to_owned())));
    }
}
