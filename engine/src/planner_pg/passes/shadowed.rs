//! A query of WITH that has the name of one further out hides it in its own query. The planner has one room for all names, so the inner one
//! gets a name of its own, and shows under its old one where it is read.

use std::ops::ControlFlow;

use sqlparser::ast::{Cte, Ident, Query, TableAlias, TableFactor, VisitMut, VisitorMut};

use super::{Flow, folded};

/// Between a name and its number.
const MARK: char = '\u{0}';

#[derive(Default)]
pub struct Shadowed {
    /// The names of each query around, outermost first.
    open: Vec<Vec<String>>,
    count: usize,
}

impl VisitorMut for Shadowed {
    type Break = Box<datafusion::error::DataFusionError>;

    fn pre_visit_query(&mut self, query: &mut Query) -> Flow {
        let names: Vec<String> = query.with.iter().flat_map(|with| &with.cte_tables).map(|cte| folded(&cte.alias.name)).collect();
        for (at, name) in names.iter().enumerate() {
            if self.open.iter().flatten().any(|outer| outer == name) && !names[..at].contains(name) {
                self.count += 1;
                rename(query, at, name, &format!("{name}{MARK}{}", self.count));
            }
        }
        let own = query.with.iter().flat_map(|with| &with.cte_tables).map(|cte| folded(&cte.alias.name)).collect();
        self.open.push(own);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> Flow {
        self.open.pop();
        ControlFlow::Continue(())
    }
}

/// Gives a query of WITH another name, and those that read it: the ones after it, itself where it may, and the query below.
fn rename(query: &mut Query, at: usize, old: &str, new: &str) {
    let Some(mut with) = query.with.take() else { return };
    let first = if with.recursive { at } else { at + 1 };
    let mut readers = Readers { old, new, hidden: 0 };
    for cte in with.cte_tables.iter_mut().skip(first) {
        let _: ControlFlow<()> = cte.query.visit(&mut readers);
    }
    let _: ControlFlow<()> = query.visit(&mut readers);
    if let Some(Cte { alias, .. }) = with.cte_tables.get_mut(at) {
        alias.name = Ident::with_quote('"', new);
    }
    query.with = Some(with);
}

struct Readers<'a> {
    old: &'a str,
    new: &'a str,
    /// How many queries around have one of the name themselves.
    hidden: usize,
}

impl Readers<'_> {
    fn hides(&self, query: &Query) -> bool {
        query.with.iter().flat_map(|with| &with.cte_tables).any(|cte| folded(&cte.alias.name) == self.old)
    }
}

impl VisitorMut for Readers<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.hidden += usize::from(self.hides(query));
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.hidden -= usize::from(self.hides(query));
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, alias, args: None, .. } = factor
            && self.hidden == 0
            && let [part] = name.0.as_slice()
            && part.as_ident().is_some_and(|ident| folded(ident) == self.old)
        {
            *name = vec![Ident::with_quote('"', self.new)].into();
            if alias.is_none() {
                *alias = Some(TableAlias { explicit: true, name: Ident::with_quote('"', self.old), columns: Vec::new(), at: None });
            }
        }
        ControlFlow::Continue(())
    }
}
