//! System views in SQL: `views/SCHEMA/NAME.sql`, parsed once. Where PostgreSQL has a view and there is no file, Lakegate has no rows.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use sqlparser::ast::Query;

use super::recorded::Recorded;
use crate::sql::parse::parse_query;
use crate::sqlstate::SqlError;

macro_rules! views {
    ($($schema:literal: $($name:literal)*;)*) => {
        &[$($(($schema, $name, include_str!(concat!("views/", $schema, "/", $name, ".sql"))),)*)*]
    };
}

/// (schema, name, query).
const VIEWS: &[(&str, &str, &str)] = views! {
    "pg_catalog": "pg_group" "pg_indexes" "pg_matviews" "pg_policies" "pg_roles" "pg_sequences" "pg_shadow" "pg_tables" "pg_user" "pg_views";
    "information_schema": "administrable_role_authorizations" "applicable_roles" "character_sets" "check_constraints" "collation_character_set_applicability" "collations" "constraint_table_usage" "enabled_roles" "referential_constraints" "role_column_grants" "role_table_grants" "routines" "schemata" "sequences" "table_constraints" "tables" "views";
};

type Parsed = HashMap<(&'static str, &'static str), Result<Arc<Query>, SqlError>>;

static PARSED: LazyLock<Parsed> =
    LazyLock::new(|| VIEWS.iter().map(|(schema, name, text)| ((*schema, *name), parse_query(text).map(Arc::new))).collect());

/// The query of a view; `None` where it has no file.
///
/// # Errors
/// 42601 where the file is no query.
pub fn query(relation: &Recorded) -> Result<Option<Arc<Query>>, SqlError> {
    PARSED.get(&(relation.schema_name, relation.name)).cloned().transpose()
}

/// The same as text.
#[must_use]
pub fn text(relation: &Recorded) -> Option<&'static str> {
    VIEWS.iter().find(|(schema, name, _)| *schema == relation.schema_name && *name == relation.name).map(|(_, _, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg_catalog::recorded;

    #[test]
    fn every_file_is_the_query_of_a_recorded_relation_with_all_its_columns() {
        for (schema, name, text) in VIEWS {
            let relation = recorded::relation(schema, name).unwrap_or_else(|| panic!("{schema}.{name}"));
            let query = parse_query(text).unwrap_or_else(|error| panic!("{schema}.{name}: {error:?}"));
            let mut body = query.body.as_ref();
            while let sqlparser::ast::SetExpr::SetOperation { left, .. } = body {
                body = left.as_ref();
            }
            let sqlparser::ast::SetExpr::Select(select) = body else { panic!("{schema}.{name}") };
            let named: Vec<String> = select
                .projection
                .iter()
                .map(|item| match item {
                    sqlparser::ast::SelectItem::ExprWithAlias { alias, .. } => alias.value.clone(),
                    sqlparser::ast::SelectItem::UnnamedExpr(expr) => expr.to_string().rsplit('.').next().unwrap_or_default().to_owned(),
                    other => other.to_string(),
                })
                .collect();
            let columns: Vec<&String> = relation.columns.iter().map(|column| &column.name).collect();
            assert_eq!(named.iter().collect::<Vec<_>>(), columns, "{schema}.{name}");
        }
    }
}
