//! `ARRAY(SELECT …)`: a scalar subquery that aggregates its one column, empty where there is no row.

use std::ops::ControlFlow;

use sqlparser::ast::{
    self, Expr, Function, FunctionArgumentClause, FunctionArguments, GroupByExpr, Ident, OrderByExpr, OrderByKind, Query, Select,
    SelectItem, SetExpr, TableAlias, TableFactor, TableWithJoins, Value, VisitorMut,
};

use super::{Flow, call, folded};
use crate::functions::sets::set_function;

pub struct ArraySubqueries;

impl VisitorMut for ArraySubqueries {
    type Break = Box<datafusion::error::DataFusionError>;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> Flow {
        if let Expr::Function(Function { name, args: FunctionArguments::Subquery(query), .. }) = expr
            && super::function_name(name).as_deref() == Some("array")
        {
            let aggregated = aggregated(std::mem::replace(query.as_mut(), empty()));
            *expr = call("#or_empty", vec![Expr::Subquery(Box::new(aggregated))]);
        }
        if let Expr::Subquery(query) = expr
            && let Some(inner) = only_subquery(query)
        {
            *expr = inner;
        }
        ControlFlow::Continue(())
    }
}

/// What `(SELECT (SELECT …))` selects: nothing but another subquery, whose outer columns are then one level nearer.
fn only_subquery(query: &Query) -> Option<Expr> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let [SelectItem::UnnamedExpr(item) | SelectItem::ExprWithAlias { expr: item, .. }] = select.projection.as_slice() else { return None };
    let is_subquery = match item {
        Expr::Subquery(_) => true,
        Expr::Function(Function { name, args: FunctionArguments::List(_), .. }) => {
            super::function_name(name).as_deref() == Some("#or_empty")
        }
        _ => false,
    };
    let mut bare = empty();
    if let SetExpr::Select(of_bare) = bare.body.as_mut() {
        of_bare.projection.clone_from(&select.projection);
    }
    (is_subquery && *query == bare).then(|| item.clone())
}

/// The same query giving one array.
fn aggregated(mut query: Query) -> Query {
    let order_by = match query.order_by.as_ref().map(|order_by| &order_by.kind) {
        Some(OrderByKind::Expressions(keys)) => keys.clone(),
        _ => Vec::new(),
    };
    let simple = query.with.is_none() && query.limit_clause.is_none() && query.fetch.is_none();
    if simple
        && let SetExpr::Select(select) = query.body.as_mut()
        && let Some(item) = plain_item(select)
    {
        let keys = order_by.into_iter().map(|key| resolved(key, &item)).collect();
        select.projection = vec![SelectItem::ExprWithAlias { expr: array_agg(item.0, keys), alias: Ident::with_quote('"', "array") }];
        query.order_by = None;
        return query;
    }
    // Rows of anything else are aggregated as they come.
    let alias = TableAlias {
        explicit: true,
        name: Ident::with_quote('"', "array"),
        columns: vec![ast::TableAliasColumnDef { name: Ident::with_quote('"', "element"), data_type: None }],
        at: None,
    };
    let from = TableFactor::Derived { lateral: false, subquery: Box::new(query), alias: Some(alias), sample: None };
    let element = array_agg(Expr::Identifier(Ident::with_quote('"', "element")), Vec::new());
    let mut outer = empty();
    if let SetExpr::Select(select) = outer.body.as_mut() {
        select.projection = vec![SelectItem::ExprWithAlias { expr: element, alias: Ident::with_quote('"', "array") }];
        select.from = vec![TableWithJoins { relation: from, joins: Vec::new() }];
    }
    outer
}

/// The selected expression and its alias, where rows are neither grouped nor made several.
fn plain_item(select: &Select) -> Option<(Expr, Option<String>)> {
    let ungrouped = matches!(&select.group_by, GroupByExpr::Expressions(keys, modifiers) if keys.is_empty() && modifiers.is_empty());
    if select.distinct.is_some() || !ungrouped || select.having.is_some() || select.qualify.is_some() {
        return None;
    }
    let (expr, alias) = match select.projection.as_slice() {
        [SelectItem::UnnamedExpr(expr)] => (expr, None),
        [SelectItem::ExprWithAlias { expr, alias }] => (expr, Some(folded(alias))),
        _ => return None,
    };
    (!aggregates(expr)).then(|| (expr.clone(), alias))
}

/// Whether it may aggregate, count over a window or give several rows: any call of what is not known to be plain, subqueries left out.
fn aggregates(expr: &Expr) -> bool {
    struct Calls {
        found: bool,
        depth: usize,
    }
    impl ast::Visitor for Calls {
        type Break = ();
        fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            self.depth += 1;
            ControlFlow::Continue(())
        }
        fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            self.depth -= 1;
            ControlFlow::Continue(())
        }
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            if let Expr::Function(function) = expr
                && self.depth == 0
            {
                let name = super::function_name(&function.name).unwrap_or_default();
                let known_aggregate = matches!(
                    name.as_str(),
                    "count"
                        | "sum"
                        | "avg"
                        | "min"
                        | "max"
                        | "array_agg"
                        | "string_agg"
                        | "bool_and"
                        | "bool_or"
                        | "every"
                        | "json_agg"
                        | "jsonb_agg"
                        | "json_object_agg"
                        | "jsonb_object_agg"
                        | "stddev"
                        | "variance"
                        | "percentile_cont"
                );
                self.found |= known_aggregate || function.over.is_some() || set_function(&name).is_some();
            }
            ControlFlow::Continue(())
        }
    }
    let mut calls = Calls { found: false, depth: 0 };
    let _: ControlFlow<()> = ast::Visit::visit(expr, &mut calls);
    calls.found
}

/// A key that names the selected expression by position or alias.
fn resolved(mut key: OrderByExpr, item: &(Expr, Option<String>)) -> OrderByExpr {
    let names_item = match &key.expr {
        Expr::Value(value) => matches!(&value.value, Value::Number(number, _) if number == "1"),
        Expr::Identifier(name) => item.1.as_ref() == Some(&folded(name)),
        _ => false,
    };
    if names_item {
        key.expr = item.0.clone();
    }
    key
}

fn array_agg(element: Expr, order_by: Vec<OrderByExpr>) -> Expr {
    let mut expr = call("array_agg", vec![element]);
    if let Expr::Function(Function { args: FunctionArguments::List(list), .. }) = &mut expr
        && !order_by.is_empty()
    {
        list.clauses.push(FunctionArgumentClause::OrderBy(order_by));
    }
    expr
}

pub fn empty() -> Query {
    Query {
        with: None,
        body: Box::new(SetExpr::Select(Box::new(select()))),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    }
}

/// `SELECT` of nothing yet.
pub fn select() -> Select {
    Select {
        select_token: ast::helpers::attached_token::AttachedToken::empty(),
        optimizer_hints: Vec::new(),
        distinct: None,
        select_modifiers: None,
        top: None,
        top_before_distinct: false,
        projection: Vec::new(),
        exclude: None,
        into: None,
        from: Vec::new(),
        lateral_views: Vec::new(),
        prewhere: None,
        selection: None,
        connect_by: Vec::new(),
        group_by: GroupByExpr::Expressions(Vec::new(), Vec::new()),
        cluster_by: Vec::new(),
        distribute_by: Vec::new(),
        sort_by: Vec::new(),
        having: None,
        named_window: Vec::new(),
        qualify: None,
        window_before_qualify: false,
        value_table_mode: None,
        flavor: ast::SelectFlavor::Standard,
    }
}
