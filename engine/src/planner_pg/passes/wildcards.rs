//! `t.*` of a relation that FROM names without an alias: names in FROM have three parts by now, and DataFusion expands a wildcard of
//! the very same name alone.

use std::ops::ControlFlow;

use sqlparser::ast::{ObjectName, Select, SelectItem, SelectItemQualifiedWildcardKind, TableFactor, TableWithJoins, VisitorMut};

use super::{Flow, folded};

pub struct Wildcards;

impl VisitorMut for Wildcards {
    type Break = Box<datafusion::error::DataFusionError>;

    fn pre_visit_select(&mut self, select: &mut Select) -> Flow {
        let mut relations = Vec::new();
        for item in &mut select.projection {
            if let SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(qualifier), _) = item {
                if relations.is_empty() {
                    select.from.iter().for_each(|from| unaliased(from, &mut relations));
                }
                let wanted = parts(qualifier);
                if let Some(relation) = relations.iter().find(|relation| parts(relation).ends_with(&wanted)) {
                    *qualifier = relation.clone();
                }
            }
        }
        ControlFlow::Continue(())
    }
}

/// The relations of an item of FROM that are known by their own names there.
fn unaliased(from: &TableWithJoins, found: &mut Vec<ObjectName>) {
    for factor in std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)) {
        match factor {
            TableFactor::Table { name, alias: None, args: None, .. } => found.push(name.clone()),
            TableFactor::NestedJoin { table_with_joins, alias: None } => unaliased(table_with_joins, found),
            _ => {}
        }
    }
}

fn parts(name: &ObjectName) -> Vec<String> {
    name.0.iter().filter_map(|part| part.as_ident()).map(folded).collect()
}
