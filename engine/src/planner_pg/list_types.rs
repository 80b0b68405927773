//! What DataFusion forgets of lists: the elements' type where a list is unnested, and the list's own where `array_agg` makes it.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{Aggregate, ColumnUnnestList, Expr, LogicalPlan, LogicalPlanBuilder, Unnest, lit};
use lakegate_engine_api::catalog::PgType;
use lakegate_engine_api::{PG_TYPE_KEY, arrow_field, pg_type};

use super::operand::{Operand, field_of};
use super::resolve::ResolveTypes;

impl ResolveTypes {
    /// The types of the lists that an aggregate makes, by the names of its columns: `array_agg` forgets what its elements are.
    pub fn list_tags(&self, aggregate: &Aggregate) -> Result<HashMap<String, String>> {
        let mut tags = HashMap::new();
        for expr in &aggregate.aggr_expr {
            let (_, name) = expr.qualified_name();
            let Expr::AggregateFunction(call) = expr.clone().unalias() else { continue };
            let Some(element) = call.params.args.first().filter(|_| call.func.name() == "array_agg") else { continue };
            let element = pg_type(field_of(element, aggregate.input.schema())?.as_ref());
            let list = PgType::array_of(element.oid).filter(|_| element.oid != PgType::NUMERIC.oid);
            tags.extend(list.and_then(|oid| tag_of(PgType::plain(oid))).map(|tag| (name, tag)));
        }
        Ok(tags)
    }

    /// Columns as of the types that their tags say.
    pub fn retagged(&self, plan: LogicalPlan, tags: &HashMap<String, String>) -> Result<LogicalPlan> {
        if tags.is_empty() {
            return Ok(plan);
        }
        let exprs = plan
            .schema()
            .iter()
            .map(|(qualifier, field)| {
                let column = Expr::Column((qualifier, field).into());
                match tags.get(field.name()).filter(|_| qualifier.is_none()) {
                    Some(tag) => Ok(self.0.call("#as_type", vec![column, lit(tag.clone())])?.alias(field.name())),
                    None => Ok(column),
                }
            })
            .collect::<Result<Vec<_>>>()?;
        LogicalPlanBuilder::from(plan).project(exprs)?.build()
    }

    /// Elements of the types that the lists' fields tell, which Unnest forgets.
    pub fn unnested(&self, unnest: Unnest) -> Result<LogicalPlan> {
        let tag = |(index, list): &(usize, ColumnUnnestList)| {
            let mut field = Arc::clone(unnest.input.schema().field(*index));
            if let Some(element) = PgType::element_of(pg_type(&field).oid).filter(|_| list.depth == 1 && !field.metadata().is_empty()) {
                return Some((list.output_column.name.clone(), tag_of(PgType::plain(element))?));
            }
            for _ in 0..list.depth {
                let DataType::List(element) = field.data_type() else { return None };
                field = Arc::clone(element);
            }
            Some((list.output_column.name.clone(), field.metadata().get(PG_TYPE_KEY)?.clone()))
        };
        let tags: HashMap<String, String> = unnest.list_type_columns.iter().filter_map(tag).collect();
        let plan = LogicalPlan::Unnest(unnest).recompute_schema()?;
        self.retagged(plan, &tags)
    }
}

/// The tag of a type that its Arrow type does not tell; of an array too whose elements need one.
pub fn tag_of(pg: PgType) -> Option<String> {
    let tag = |pg: PgType| arrow_field("", pg, true)?.metadata().get(PG_TYPE_KEY).cloned();
    match PgType::element_of(pg.oid) {
        Some(element) => tag(PgType { oid: element, typmod: pg.typmod }).map(|_| pg.oid.to_string()),
        None => tag(pg),
    }
}

/// The type of an array's elements.
pub fn element_type(array: &Operand) -> PgType {
    match array.pg {
        PgType::INT2VECTOR => PgType::INT2,
        PgType::OIDVECTOR => PgType::OID,
        pg => PgType::element_of(pg.oid).map_or(PgType::TEXT, PgType::plain),
    }
}

/// The Arrow type of an array's elements.
pub fn item_type(array: &Operand) -> DataType {
    match &array.arrow {
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => field.data_type().clone(),
        _ => DataType::Utf8,
    }
}
