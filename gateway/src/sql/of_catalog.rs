//! Whether a statement's answer follows from the catalog, the role and the settings alone: it then is the same until one of them changes.
//!
//! The list of functions is one of what may be called, never of what may not: a statement with anything else is merely made anew each time.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::LazyLock;

use lakegate_catalog::model::{Oid, RelationName};
use lakegate_engine_api::{BoundRelation, RelationSource, TablePolicies};
use sqlparser::ast::{
    ArrayElemTypeDef, DataType, Expr, ObjectName, Query, TableFactor, TimezoneInfo, Value, ValueWithSpan, Visit, Visitor,
};

use super::bind::SYSTEM_DATABASE;
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
    "pg_database_size",
    "pg_indexes_size",
    "pg_relation_filenode",
    "pg_relation_is_publishable",
    // Sizes are not told: NULL.
    "pg_relation_size",
    "pg_show_all_settings",
    "pg_statistics_obj_is_visible",
    "pg_table_is_visible",
    "pg_table_size",
    "pg_tablespace_size",
    "pg_total_relation_size",
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

/// Functions that ask what a session has from its first to its last statement.
const OF_SESSION: &[&str] = &["inet_client_addr", "inet_client_port", "inet_server_addr", "inet_server_port", "pg_backend_pid"];

/// Functions that ask the time, and those that change the session: engines compute them each time a plan runs.
const OF_MOMENT: &[&str] = &[
    "clock_timestamp",
    "current_date",
    "current_time",
    "current_timestamp",
    "localtime",
    "localtimestamp",
    "now",
    "pg_advisory_unlock_all",
    "pg_notify",
    "set_config",
    "statement_timestamp",
    "timeofday",
    "transaction_timestamp",
];

/// `time with time zone`: a text of that type without a zone reads as of today.
const TIMETZ: Oid = 1266;

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

/// What an answer follows from. The later, the less can be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Follows {
    /// From the catalog, the role and the settings.
    Catalog,
    /// From the session as well.
    Session,
    /// From the moment too, or it does something to the session: the plan alone can be kept, and is renewed each time.
    Moment,
}

/// What the answer of a query over these relations follows from; `None` where nobody knows.
#[must_use]
pub fn follows(query: &Query, relations: &[BoundRelation]) -> Option<Follows> {
    relations.iter().try_fold(of_query(query)?, |most, relation| {
        let name = &relation.name;
        let own = match &relation.source {
            RelationSource::Columns { .. } if pg_catalog::is_made_when_run(&name.schema, &name.name) => Follows::Moment,
            RelationSource::Rows { .. } | RelationSource::Columns { .. } if pg_catalog::follows_catalog(&name.schema, &name.name) => {
                Follows::Catalog
            }
            RelationSource::View { query, .. } if pg_catalog::follows_catalog(&name.schema, &name.name) => of_query(query)?,
            _ => return None,
        };
        Some(most.max(own))
    })
}

/// Whether the answer of a query follows from the versions of the stored tables among these relations, its parameters, the catalog, the
/// role and the settings. Policies, masks and views are looked at as the query is.
#[must_use]
pub fn follows_tables(query: &Query, relations: &[BoundRelation]) -> bool {
    let is_steady = |query: &Query| of_query(query) == Some(Follows::Catalog);
    is_steady(query)
        && relations.iter().any(|relation| matches!(relation.source, RelationSource::Table { .. }))
        && relations.iter().all(|relation| {
            let name = &relation.name;
            match &relation.source {
                RelationSource::Table { table, version: None, transaction: None, policies } => {
                    let reads_zones = table.relation().columns.iter().any(|column| column.data_type.oid == TIMETZ);
                    !is_of_the_moment(name) && !reads_zones && policies.as_deref().is_none_or(are_steady)
                }
                RelationSource::View { query, policies, .. } => {
                    !is_of_the_moment(name) && is_steady(query) && policies.as_deref().is_none_or(are_steady)
                }
                RelationSource::Rows { .. } => pg_catalog::follows_catalog(&name.schema, &name.name),
                RelationSource::Columns { .. } => {
                    pg_catalog::follows_catalog(&name.schema, &name.name) && !pg_catalog::is_made_when_run(&name.schema, &name.name)
                }
                _ => false,
            }
        })
}

/// Whether a parameter, itself a text, is read as a date or a time: what it says may be the moment's.
#[must_use]
pub fn reads_parameters_as_times(query: &Query) -> bool {
    let found = sqlparser::ast::visit_expressions(query, |expr| {
        let is_parameter = |expr: &Expr| matches!(expr, Expr::Value(value) if matches!(value.value, Value::Placeholder(_)));
        steady(!matches!(expr, Expr::Cast { expr, data_type, .. } if reads_times(data_type) && is_parameter(expr)))
    });
    found.is_break()
}

/// Of one session, or of the logs, whose newest records are nowhere but in the catalog.
fn is_of_the_moment(name: &RelationName) -> bool {
    name.schema.starts_with("pg_temp") || name.database == SYSTEM_DATABASE
}

fn are_steady(policies: &TablePolicies) -> bool {
    let is_steady = |expr: &Expr| {
        let mut seen = Unsteady(Follows::Catalog);
        expr.visit(&mut seen).is_continue() && seen.0 == Follows::Catalog
    };
    policies.rows.as_ref().is_none_or(|rows| is_steady(&rows.select)) && policies.masks.iter().all(|(_, mask)| is_steady(mask))
}

fn of_query(query: &Query) -> Option<Follows> {
    let mut seen = Unsteady(Follows::Catalog);
    query.visit(&mut seen).is_continue().then_some(seen.0)
}

/// What was found so far; breaks at what nobody knows.
struct Unsteady(Follows);

impl Unsteady {
    fn function(&mut self, name: &ObjectName) -> ControlFlow<()> {
        let found = name_of(name).and_then(|name| {
            Some(match name.as_str() {
                name if STEADY.contains(name) => Follows::Catalog,
                name if OF_SESSION.contains(&name) => Follows::Session,
                name if OF_MOMENT.contains(&name) => Follows::Moment,
                _ => return None,
            })
        });
        let Some(found) = found else { return ControlFlow::Break(()) };
        self.0 = self.0.max(found);
        ControlFlow::Continue(())
    }
}

impl Visitor for Unsteady {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Function(function) => self.function(&function.name),
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
            TableFactor::Table { sample: Some(_), .. } => ControlFlow::Break(()),
            TableFactor::Table { name, args: Some(_), .. } | TableFactor::Function { name, .. } => {
                // Those of the moment may have been asked when the plan was made.
                let before = std::mem::replace(&mut self.0, Follows::Catalog);
                self.function(name)?;
                let steady_one = steady(self.0 == Follows::Catalog);
                self.0 = before;
                steady_one
            }
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

/// A function's name without its schema, where that is the system's.
fn name_of(name: &ObjectName) -> Option<String> {
    let parts: Option<Vec<String>> = name.0.iter().map(|part| part.as_ident().map(fold)).collect();
    match parts?.as_slice() {
        [name] => Some(name.clone()),
        [schema, name] => matches!(schema.as_str(), pg_catalog::PG_CATALOG | pg_catalog::INFORMATION_SCHEMA).then(|| name.clone()),
        _ => None,
    }
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
        of_query(&parse_query(text).unwrap()) == Some(Follows::Catalog)
    }

    #[test]
    fn what_is_renewed() {
        let of = |text| of_query(&parse_query(text).unwrap());
        assert_eq!(of("SELECT pg_backend_pid(), relname FROM pg_class"), Some(Follows::Session));
        assert_eq!(of("SELECT now() - interval '1 day', inet_client_addr()"), Some(Follows::Moment));
        assert_eq!(of("SELECT current_date"), Some(Follows::Moment));
        assert_eq!(of("SELECT set_config('a.b', 'c', false)"), Some(Follows::Moment));
        for text in
            ["SELECT random()", "SELECT 'now'::timestamp", "SELECT age(now())", "SELECT pg_sleep(1)", "SELECT * FROM pg_backend_pid()"]
        {
            assert_eq!(of(text), None, "{text}");
        }
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
            "SELECT * FROM t TABLESAMPLE BERNOULLI (10)",
        ] {
            assert!(!steady(text), "{text}");
        }
    }
}
