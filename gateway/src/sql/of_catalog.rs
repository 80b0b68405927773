//! Whether a statement's answer follows from the catalog, the role and the settings alone: it then is the same until one of them changes.
//!
//! The list of functions is one of what may be called, never of what may not: a statement with anything else is merely made anew each time.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::LazyLock;

use lakegate_engine_api::{BoundRelation, RelationSource};
use sqlparser::ast::{
    ArrayElemTypeDef, DataType, Expr, ObjectName, Query, TableFactor, TimezoneInfo, Value, ValueWithSpan, Visit, Visitor,
};

use super::grammar::fold;
use crate::pg_catalog;

/// Functions that `pg_proc` calls stable or worse and that ask nothing but the catalog, the role and the settings; the search path says
/// what the schema of temporary tables is.
const OF_CATALOG: &[&str] = &[
    "_pg_expandarray",
    "aclexplode",
    "array_to_json",
    "array_to_string",
    "col_description",
    "concat",
    "concat_ws",
    "current_database",
    "current_schema",
    "current_schemas",
    "current_setting",
    "current_user",
    "date_part",
    "date_trunc",
    "extract",
    "format",
    "format_type",
    "generate_series",
    "getdatabaseencoding",
    "has_any_column_privilege",
    "has_column_privilege",
    "has_database_privilege",
    "has_function_privilege",
    "has_language_privilege",
    "has_schema_privilege",
    "has_sequence_privilege",
    "has_table_privilege",
    "has_tablespace_privilege",
    "has_type_privilege",
    "json_agg",
    "json_build_array",
    "json_build_object",
    "json_object_agg",
    "jsonb_agg",
    "jsonb_build_array",
    "jsonb_build_object",
    "length",
    "obj_description",
    "pg_char_to_encoding",
    "pg_client_encoding",
    "pg_collation_is_visible",
    "pg_conversion_is_visible",
    "pg_encoding_to_char",
    "pg_function_is_visible",
    "pg_get_constraintdef",
    "pg_get_expr",
    "pg_get_function_arguments",
    "pg_get_function_identity_arguments",
    "pg_get_function_result",
    "pg_get_function_sqlbody",
    "pg_get_functiondef",
    "pg_get_indexdef",
    "pg_get_keywords",
    "pg_get_partition_constraintdef",
    "pg_get_partkeydef",
    "pg_get_ruledef",
    "pg_get_serial_sequence",
    "pg_get_statisticsobjdef",
    "pg_get_statisticsobjdef_columns",
    "pg_get_triggerdef",
    "pg_get_userbyid",
    "pg_get_viewdef",
    "pg_has_role",
    "pg_is_in_recovery",
    "pg_is_other_temp_schema",
    "pg_is_wal_replay_paused",
    "pg_index_column_has_property",
    "pg_my_temp_schema",
    "pg_opclass_is_visible",
    "pg_operator_is_visible",
    "pg_opfamily_is_visible",
    "pg_options_to_table",
    "pg_partition_ancestors",
    "pg_postmaster_start_time",
    "pg_relation_filenode",
    "pg_relation_is_publishable",
    "pg_show_all_settings",
    "pg_statistics_obj_is_visible",
    "pg_table_is_visible",
    "pg_tablespace_location",
    "pg_ts_config_is_visible",
    "pg_ts_dict_is_visible",
    "pg_ts_parser_is_visible",
    "pg_ts_template_is_visible",
    "pg_type_is_visible",
    "pg_typeof",
    "quote_literal",
    "quote_nullable",
    "row_to_json",
    "session_user",
    "shobj_description",
    "to_char",
    "to_json",
    "to_jsonb",
    "to_number",
    "to_regclass",
    "to_regnamespace",
    "to_regproc",
    "to_regprocedure",
    "to_regrole",
    "to_regtype",
    "version",
    // Syntax that is written as functions.
    "array",
    "coalesce",
    "current_catalog",
    "current_role",
    "greatest",
    "least",
    "nullif",
    "row",
    "user",
];

/// Words that read as a moment where a text becomes a date or a time.
const MOMENTS: &[&str] = &["now", "today", "tomorrow", "yesterday"];

/// Names of types that, called as functions, read a text.
const TIMES: &[&str] = &["date", "time", "timetz", "timestamp", "timestamptz"];

static STEADY: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let mut steady = pg_catalog::immutable_functions();
    steady.extend(OF_CATALOG.iter().map(|name| (*name).to_owned()));
    TIMES.iter().for_each(|name| {
        steady.remove(*name);
    });
    steady
});

/// Whether a query over these relations answers from the catalog, the role and the settings alone.
#[must_use]
pub fn is_of_catalog(query: &Query, relations: &[BoundRelation]) -> bool {
    is_steady(query)
        && relations.iter().all(|relation| {
            pg_catalog::follows_catalog(&relation.name.schema, &relation.name.name)
                && match &relation.source {
                    RelationSource::Rows { .. } | RelationSource::Columns { .. } => true,
                    RelationSource::View { query, .. } => is_steady(query),
                    RelationSource::TableAt { .. } | RelationSource::Table { .. } => false,
                }
        })
}

fn is_steady(query: &Query) -> bool {
    query.visit(&mut Unsteady).is_continue()
}

/// Breaks at what may give another answer at another time or to another session.
struct Unsteady;

impl Visitor for Unsteady {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Function(function) => steady_function(&function.name),
            Expr::Cast { expr, data_type, .. } if reads_times(data_type) => {
                // Of other expressions, nobody knows which words they make.
                steady(matches!(expr.as_ref(), Expr::Value(_)) && !is_timetz(data_type))
            }
            Expr::TypedString(typed) => steady(!is_timetz(&typed.data_type)),
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { name, args: Some(_), .. } | TableFactor::Function { name, .. } => steady_function(name),
            TableFactor::Table { .. } | TableFactor::Derived { .. } | TableFactor::NestedJoin { .. } | TableFactor::UNNEST { .. } => {
                ControlFlow::Continue(())
            }
            _ => ControlFlow::Break(()),
        }
    }

    fn pre_visit_value(&mut self, value: &ValueWithSpan) -> ControlFlow<()> {
        let text = match &value.value {
            Value::Number(..) | Value::Boolean(_) | Value::Null | Value::Placeholder(_) => return ControlFlow::Continue(()),
            other => other.to_string(),
        };
        let mut words = text.split(|letter: char| !letter.is_ascii_alphanumeric());
        steady(!words.any(|word| MOMENTS.iter().any(|moment| word.eq_ignore_ascii_case(moment))))
    }
}

fn steady(is: bool) -> ControlFlow<()> {
    if is { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

fn steady_function(name: &ObjectName) -> ControlFlow<()> {
    let parts: Option<Vec<String>> = name.0.iter().map(|part| part.as_ident().map(fold)).collect();
    steady(match parts.as_deref() {
        Some([name]) => STEADY.contains(name),
        Some([schema, name]) => matches!(schema.as_str(), pg_catalog::PG_CATALOG | pg_catalog::INFORMATION_SCHEMA) && STEADY.contains(name),
        _ => false,
    })
}

fn reads_times(data_type: &DataType) -> bool {
    match data_type {
        DataType::Date | DataType::Time(..) | DataType::Timestamp(..) => true,
        DataType::Array(element) => element_type(element).is_none_or(reads_times),
        DataType::Custom(name, _) => name.0.last().and_then(|part| part.as_ident()).is_none_or(|name| TIMES.contains(&fold(name).as_str())),
        _ => false,
    }
}

fn is_timetz(data_type: &DataType) -> bool {
    match data_type {
        DataType::Time(_, zone) => !matches!(zone, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone),
        DataType::Custom(name, _) => name.0.last().and_then(|part| part.as_ident()).is_none_or(|name| fold(name) == "timetz"),
        DataType::Array(element) => element_type(element).is_none_or(is_timetz),
        _ => false,
    }
}

fn element_type(array: &ArrayElemTypeDef) -> Option<&DataType> {
    match array {
        ArrayElemTypeDef::SquareBracket(element, _) | ArrayElemTypeDef::AngleBracket(element) | ArrayElemTypeDef::Parenthesis(element) => {
            Some(element)
        }
        ArrayElemTypeDef::None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::parse::parse_query;

    fn steady(text: &str) -> bool {
        is_steady(&parse_query(text).unwrap())
    }

    #[test]
    fn what_clients_ask_is_steady() {
        for text in [
            "SELECT 1",
            "SELECT current_schema(), version()",
            "SELECT c.relname, pg_catalog.pg_get_userbyid(c.relowner) FROM pg_catalog.pg_class c WHERE c.relname ~ '^(unknown)$'",
            "SELECT 'pg_class'::regclass::oid, has_table_privilege('pg_class', 'SELECT'), count(*), lower('A')",
            "SELECT array(SELECT relname FROM pg_class ORDER BY 1), information_schema._pg_expandarray(ARRAY[1])",
            "SELECT a FROM unnest(ARRAY[1, 2]) AS a, generate_subscripts(ARRAY[1], 1)",
            "SELECT date '2020-01-01', '2020-01-01'::timestamp, NULL::text[], generate_series(1, length('a'))",
        ] {
            assert!(steady(text), "{text}");
        }
    }

    #[test]
    fn moments_sessions_and_unknown_functions_are_not() {
        for text in [
            "SELECT now()",
            "SELECT current_timestamp",
            "SELECT current_date",
            "SELECT random()",
            "SELECT pg_backend_pid()",
            "SELECT inet_client_addr()",
            "SELECT set_config('a.b', 'c', false)",
            "SELECT * FROM pg_listening_channels()",
            "SELECT other.version()",
            "SELECT nextval('s')",
            "SELECT 'now'::timestamp",
            "SELECT timestamp ' NOW '",
            "SELECT ('no' || 'w')::timestamp",
            "SELECT date('no' || 'w')",
            "SELECT '10:00'::timetz",
            "SELECT time with time zone '10:00'",
            "SELECT ('{no' || 'w}')::date[]",
            "SELECT 1 WHERE EXISTS (SELECT 1 FROM (SELECT clock_timestamp()) AS t)",
            "SELECT to_char(statement_timestamp(), 'YYYY')",
            "SELECT pg_sleep(1)",
        ] {
            assert!(!steady(text), "{text}");
        }
    }
}
