//! `pg_attrdef`: defaults of columns. `adbin` holds the SQL text, which is what `pg_get_expr` gives back.

use arrow_array::RecordBatch;
use lakegate_catalog::model::Relation;

use crate::pg_catalog::Context;
use crate::pg_catalog::cells::Columns;
use crate::pg_catalog::recorded::Recorded;
use crate::pg_catalog::typed_text;
use crate::sql::parse::parse_expression;
use crate::sqlstate::SqlError;

struct Default<'a> {
    relation: &'a Relation,
    number: u32,
    expression: String,
}

pub fn rows(relation: &'static Recorded, context: &Context<'_>) -> Result<Vec<RecordBatch>, SqlError> {
    let stored = context.objects().stored();
    let defaults: Vec<Default<'_>> = stored
        .iter()
        .flat_map(|relation| {
            (1..).zip(&relation.columns).filter(|(_, column)| column.identity.is_none()).filter_map(|(number, column)| {
                let default = || Some(context.shown_default(column.default.as_deref()?, column.data_type));
                let generated = column.generated.as_ref().map(|text| {
                    let typed = parse_expression(text).ok().and_then(|expr| typed_text::value(&expr, &relation.columns));
                    typed.unwrap_or_else(|| text.clone())
                });
                let expression = generated.or_else(default)?;
                Some(Default { relation, number, expression })
            })
        })
        .collect();
    Columns::over(relation, &defaults)
        .only(context.columns)
        .put("oid", |default| oid(default.relation, usize::try_from(default.number).unwrap_or(0)))
        .put("adrelid", |default| default.relation.oid)
        .put("adnum", |default| default.number)
        .put("adbin", |default| &default.expression)
        .finish()
}

/// Defaults have no number of their own: one is made of the table's and the column's, above all that the catalog gives out.
pub fn oid(relation: &Relation, number: usize) -> u32 {
    let number = u32::try_from(number).unwrap_or(0);
    (1 << 31) | (relation.oid.wrapping_mul(2_048).wrapping_add(number) & 0x7fff_ffff)
}
