//! `FROM t TABLESAMPLE …` is `FROM (SELECT … FROM t WHERE the row is in the sample) t`, over the table with the places of its rows.

use std::ops::ControlFlow;

use lakegate_engine_api::SqlMistake;
use sqlparser::ast::{
    CastKind, DataType, Expr, Ident, ObjectNamePart, SelectItem, SetExpr, TableAlias, TableFactor, TableSample, TableSampleKind,
    TableSampleMethod, TableSampleModifier, TableSampleSeedModifier, TableWithJoins, Value, VisitorMut,
};

use super::array_subquery::{empty, select};
use super::scope::{Places, Relations};
use super::{Flow, call};
use crate::delta::{FILE_COLUMN, ROW_COLUMN, SAMPLE_MARK};
use crate::functions::error::{mistake, unsupported};
use crate::functions::sampling::{PERCENT, SAMPLED};
use datafusion::common::Result;

pub struct Samples<'a> {
    relations: &'a dyn Relations,
    /// How many there were: no two of one statement are the same by chance.
    count: usize,
}

impl<'a> Samples<'a> {
    #[must_use]
    pub fn new(relations: &'a dyn Relations) -> Self {
        Self { relations, count: 0 }
    }
}

impl VisitorMut for Samples<'_> {
    type Break = Box<datafusion::error::DataFusionError>;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> Flow {
        let TableFactor::Table { sample, .. } = factor else { return ControlFlow::Continue(()) };
        let Some(TableSampleKind::BeforeTableAlias(sample) | TableSampleKind::AfterTableAlias(sample)) = sample.take() else {
            return ControlFlow::Continue(());
        };
        match self.sampled(factor, &sample) {
            Ok(derived) => {
                *factor = derived;
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(Box::new(error)),
        }
    }
}

impl Samples<'_> {
    fn sampled(&mut self, factor: &TableFactor, sample: &TableSample) -> Result<TableFactor> {
        let TableFactor::Table { name, alias, .. } = factor else { return Err(unsupported("TABLESAMPLE here")) };
        let columns = match self.relations.places(name) {
            Places::Known(columns) => columns,
            Places::Hidden => {
                return Err(unsupported("TABLESAMPLE of a table that is seen in part, and of system relations"));
            }
            Places::None => {
                return Err(unsupported("TABLESAMPLE of what is no table and no materialized view"));
            }
        };
        self.count += 1;
        let condition = condition(sample, self.count)?;
        let mut marked = name.clone();
        if let Some(ObjectNamePart::Identifier(last)) = marked.0.last_mut() {
            *last = Ident::with_quote('"', format!("{}{SAMPLE_MARK}", last.value));
        }
        let shown = name.0.last().and_then(|part| part.as_ident()).map(|ident| Ident::with_quote('"', &ident.value));
        let alias = alias.clone().or(shown.map(|name| TableAlias { explicit: true, name, columns: Vec::new(), at: None }));
        let mut body = select();
        body.projection = columns.iter().map(|column| SelectItem::UnnamedExpr(Expr::Identifier(Ident::with_quote('"', column)))).collect();
        let mut relation = factor.clone();
        if let TableFactor::Table { name, alias, .. } = &mut relation {
            (*name, *alias) = (marked, None);
        }
        body.from = vec![TableWithJoins { relation, joins: Vec::new() }];
        body.selection = Some(condition);
        let mut query = empty();
        *query.body = SetExpr::Select(Box::new(body));
        Ok(TableFactor::Derived { lateral: false, subquery: Box::new(query), alias, sample: None })
    }
}

fn condition(sample: &TableSample, count: usize) -> Result<Expr> {
    let plain = sample.modifier == TableSampleModifier::TableSample && sample.bucket.is_none() && sample.offset.is_none();
    let by_rows = match sample.name {
        Some(TableSampleMethod::Bernoulli) => true,
        Some(TableSampleMethod::System) => false,
        _ => return Err(mistake(SqlMistake::UndefinedObject, "tablesample method does not exist: BERNOULLI and SYSTEM do")),
    };
    let Some(quantity) = sample.quantity.as_ref().filter(|quantity| plain && quantity.parenthesized && quantity.unit.is_none()) else {
        return Err(mistake(SqlMistake::Syntax, "TABLESAMPLE takes a share in percent, in parentheses"));
    };
    let number = match &sample.seed {
        Some(seed) if seed.modifier == TableSampleSeedModifier::Repeatable => match &seed.value.value {
            Value::Null => return Err(mistake(SqlMistake::Syntax, "TABLESAMPLE REPEATABLE parameter cannot be null")),
            _ => double(Expr::Value(seed.value.clone())),
        },
        Some(_) => return Err(mistake(SqlMistake::Syntax, "the seed of TABLESAMPLE is REPEATABLE")),
        // Of the statement's time: another sample each time it runs.
        None => {
            let time = call("date_part", vec![super::string("epoch"), call("statement_timestamp", Vec::new())]);
            let count = Expr::value(Value::Number(count.to_string(), false));
            Expr::BinaryOp { left: Box::new(time), op: sqlparser::ast::BinaryOperator::Plus, right: Box::new(double(count)) }
        }
    };
    let column = |name: &str| Expr::Identifier(Ident::with_quote('"', name));
    let share = call(PERCENT, vec![double(quantity.value.clone())]);
    let by_rows = Expr::value(Value::Boolean(by_rows));
    Ok(call(SAMPLED, vec![by_rows, share, number, column(FILE_COLUMN), column(ROW_COLUMN)]))
}

fn double(expr: Expr) -> Expr {
    let data_type = DataType::DoublePrecision;
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(Expr::Nested(Box::new(expr))), data_type, array: false, format: None }
}
