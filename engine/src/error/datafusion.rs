//! DataFusion's errors. It has types for columns and resources, texts for most of what is wrong with a statement.

use datafusion::common::{DataFusionError, SchemaError};
use lakegate_engine_api::{DataError, EngineError, Limit, SqlMistake};

use super::{buried, data, from_arrow, from_object_store, internal, sql, unsupported};

/// `tables`: (root path in its store, name) of the tables that the statement reads, to say whose file is missing.
#[must_use]
pub fn from_datafusion(error: &DataFusionError, tables: &[(String, String)]) -> EngineError {
    if let Some(found) = buried(error) {
        return found;
    }
    match error {
        DataFusionError::ArrowError(source, _) => match foreign(source.as_ref(), tables) {
            Some(found) => found,
            None => from_arrow(source),
        },
        DataFusionError::ParquetError(source) => parquet(source, tables),
        DataFusionError::ObjectStore(source) => from_object_store(source, table_of(source, tables)),
        DataFusionError::IoError(source) if super::storage::no_space(source) => EngineError::DiskFull,
        DataFusionError::IoError(source) => {
            foreign(source, tables).unwrap_or_else(|| EngineError::Storage { message: "a file could not be read or written".to_owned() })
        }
        DataFusionError::SQL(source, _) => sql(SqlMistake::Syntax, source.to_string()),
        DataFusionError::NotImplemented(text) => not_implemented(text),
        DataFusionError::SchemaError(source, _) => schema(source),
        DataFusionError::ResourcesExhausted(text) => exhausted(text),
        DataFusionError::Context(_, source) | DataFusionError::Diagnostic(_, source) => from_datafusion(source, tables),
        DataFusionError::Shared(source) => from_datafusion(source, tables),
        DataFusionError::Collection(sources) => {
            sources.first().map_or_else(|| internal(error.to_string()), |first| from_datafusion(first, tables))
        }
        DataFusionError::Plan(text) => plan(text),
        DataFusionError::Execution(text) => execution(text),
        DataFusionError::External(source) => foreign(source.as_ref(), tables).unwrap_or_else(|| {
            tracing::error!(error = %source, "foreign error in a plan");
            internal("unexpected failure of a plan")
        }),
        DataFusionError::Configuration(text) => data(DataError::InvalidParameterValue, text.clone()),
        DataFusionError::ExecutionJoin(source) if source.is_cancelled() => EngineError::Canceled,
        other => internal(first_line(&other.to_string())),
    }
}

/// Errors of other crates that travelled inside.
fn foreign(error: &(dyn std::error::Error + 'static), tables: &[(String, String)]) -> Option<EngineError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(source) = error.downcast_ref::<object_store::Error>() {
            return Some(from_object_store(source, table_of(source, tables)));
        }
        if let Some(source) = error.downcast_ref::<DataFusionError>() {
            return Some(from_datafusion(source, tables));
        }
        if let Some(source) = error.downcast_ref::<deltalake_core::DeltaTableError>() {
            return Some(super::from_delta(source, ""));
        }
        if let Some(source) = error.downcast_ref::<parquet::errors::ParquetError>() {
            return Some(parquet(source, tables));
        }
        if let Some(source) = error.downcast_ref::<std::io::Error>()
            && super::storage::no_space(source)
        {
            return Some(EngineError::DiskFull);
        }
        next = error.source();
    }
    None
}

fn table_of<'a>(error: &object_store::Error, tables: &'a [(String, String)]) -> Option<&'a str> {
    let object_store::Error::NotFound { path, .. } = error else { return None };
    tables.iter().find(|(root, _)| path.contains(root.as_str())).map(|(_, name)| name.as_str())
}

fn parquet(error: &parquet::errors::ParquetError, tables: &[(String, String)]) -> EngineError {
    use parquet::errors::ParquetError;
    if let ParquetError::External(source) = error
        && let Some(found) = buried(source.as_ref()).or_else(|| foreign(source.as_ref(), tables))
    {
        return found;
    }
    tracing::warn!(%error, "parquet");
    // The footer's reader passes on the text alone of what the store said.
    if let ParquetError::General(text) = error
        && text.starts_with("Failed to fetch metadata for file")
        && text.contains("not found")
        && let Some((_, name)) = tables.iter().find(|(root, _)| text.contains(root.as_str()))
    {
        return EngineError::MissingFile { table: name.clone() };
    }
    match error {
        ParquetError::NYI(text) => unsupported(format!("a Parquet feature ({text})")),
        _ => super::corrupted("a data file is damaged"),
    }
}

fn schema(error: &SchemaError) -> EngineError {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let name = match &field.relation {
                Some(relation)
                    if !valid_fields.iter().any(|valid| valid.relation.as_ref().is_some_and(|known| known.table() == relation.table())) =>
                {
                    let message = format!("missing FROM-clause entry for table \"{}\"", relation.table());
                    return sql(SqlMistake::UndefinedTable, message);
                }
                Some(relation) => format!("{}.{}", relation.table(), field.name),
                None => format!("\"{}\"", field.name),
            };
            EngineError::Sql {
                mistake: SqlMistake::UndefinedColumn,
                message: format!("column {name} does not exist"),
                hint: super::suggest::hint(field, valid_fields),
            }
        }
        SchemaError::AmbiguousReference { field } => {
            sql(SqlMistake::AmbiguousColumn, format!("column reference \"{}\" is ambiguous", field.name))
        }
        SchemaError::DuplicateQualifiedField { qualifier, .. } => {
            sql(SqlMistake::DuplicateAlias, format!("table name \"{}\" specified more than once", qualifier.table()))
        }
        SchemaError::DuplicateUnqualifiedField { name } => {
            sql(SqlMistake::DuplicateColumn, format!("column \"{name}\" specified more than once"))
        }
    }
}

fn exhausted(text: &str) -> EngineError {
    // The disk manager reports a full spill directory with the same variant.
    if text.contains("spill") && text.contains("disk") {
        return EngineError::DiskFull;
    }
    EngineError::OutOfMemory { detail: first_line(text) }
}

fn not_implemented(text: &str) -> EngineError {
    let text = first_line(text);
    // Elsewhere the planner has found it before.
    if text.contains("Physical plan does not support logical expression AggregateFunction") {
        return sql(SqlMistake::Grouping, "aggregate functions are not allowed in JOIN conditions");
    }
    let feature =
        ["Unsupported ", "Support for ", "Not yet implemented: "].iter().find_map(|head| text.strip_prefix(head)).unwrap_or(&text);
    unsupported(feature.trim_end_matches('.').trim_end_matches(" is not supported").trim_end_matches(" not supported yet").to_owned())
}

/// Texts of DataFusion 55's planner and type coercion for which it has no type.
fn plan(text: &str) -> EngineError {
    let line = first_line(text);
    let has = |needle: &str| line.contains(needle);
    if let Some(name) = between(&line, "Invalid function '", "'") {
        return no_function(format!("function {name} does not exist"));
    }
    if let Some(types) = between(text, "argument types 'coalesce(", ")'.").or_else(|| between(text, "argument types 'coalesce(", ")'")) {
        let types = type_list(types);
        if let [first, .., last] = types.as_slice() {
            return sql(SqlMistake::DatatypeMismatch, format!("COALESCE types {first} and {last} cannot be matched"));
        }
    }
    if has("No function matches the given name and argument types")
        || has("Failed to coerce arguments")
        || has("does not support zero arguments")
    {
        let signature = between(text, "argument types '", "'").map(pg_signature);
        let message = signature.map_or_else(|| line.clone(), |signature| format!("function {signature} does not exist"));
        return no_function(message);
    }
    if has("must appear in the GROUP BY clause")
        || has("must be in the GROUP BY")
        || has("non-aggregate values")
        || has("which is not in GROUP BY")
    {
        return grouping(text);
    }
    if has("Aggregate functions are not allowed in the WHERE clause") {
        return sql(SqlMistake::Grouping, "aggregate functions are not allowed in WHERE");
    }
    if has("Aggregate functions are not allowed") || has("aggregate functions are not allowed") {
        return sql(SqlMistake::Grouping, "aggregate functions are not allowed here");
    }
    if has("Aggregate function calls cannot contain window function calls") {
        return sql(SqlMistake::Grouping, "aggregate function calls cannot contain window function calls");
    }
    if let Some(name) = between(&line, "The window ", " is not defined") {
        return sql(SqlMistake::UndefinedObject, format!("window \"{name}\" does not exist"));
    }
    if let Some((available, given)) =
        line.strip_prefix("Source table contains ").and_then(|rest| rest.split_once(" columns but only ")).filter(|_| has("column alias"))
    {
        let given = given.split(' ').next().unwrap_or_default();
        let message = format!("{available} columns available but {given} columns specified");
        return sql(SqlMistake::InvalidColumnReference, message);
    }
    if has("SELECT DISTINCT ON expressions must match initial ORDER BY expressions") {
        let message = "SELECT DISTINCT ON expressions must match initial ORDER BY expressions";
        return sql(SqlMistake::InvalidColumnReference, message);
    }
    if let Some(given) = line.split_once("Unary operator 'NOT' requires a boolean expression, got ").map(|(_, given)| given) {
        return sql(SqlMistake::DatatypeMismatch, format!("argument of NOT must be type boolean, not type {}", pg_type_name(given)));
    }
    if let Some(position) = between(&line, "Cannot find column with position ", " in SELECT clause") {
        return sql(SqlMistake::InvalidColumnReference, format!("GROUP BY position {position} is not in select list"));
    }
    if has("Aggregate function calls cannot be nested") {
        return sql(SqlMistake::Grouping, "aggregate function calls cannot be nested");
    }
    if let Some(position) = between(&line, "Order by column out of bounds, specified: ", ",") {
        return sql(SqlMistake::InvalidColumnReference, format!("ORDER BY position {position} is not in select list"));
    }
    if has("For SELECT DISTINCT, ORDER BY expressions") {
        let message = "for SELECT DISTINCT, ORDER BY expressions must appear in select list";
        return sql(SqlMistake::InvalidColumnReference, message);
    }
    if has("Cannot create filter with non-boolean predicate")
        && let Some((_, data_type)) = line.rsplit_once(" returning ")
    {
        let message = format!("argument of WHERE must be type boolean, not type {}", pg_type_name(data_type));
        return sql(SqlMistake::DatatypeMismatch, message);
    }
    if has("logical boolean operation ") {
        return boolean_operands(&line);
    }
    if has("window functions are not allowed") || has("Window functions are not allowed") {
        return sql(SqlMistake::Windowing, "window functions are not allowed here");
    }
    if has("Cannot infer common argument type")
        || has("Cannot get result type for")
        || has("type_coercion")
        || has("Cannot coerce arithmetic")
        || has("is not a valid comparison")
    {
        return EngineError::Sql {
            mistake: SqlMistake::UndefinedFunction,
            message: operator_message(&line),
            hint: Some("No operator matches the given name and argument types. You might need to add explicit type casts.".to_owned()),
        };
    }
    if has("Unable to find a common") || has("UNION types") || has("Incompatible inputs for") || has("Failed to coerce then") {
        return sql(SqlMistake::DatatypeMismatch, line);
    }
    if has("queries have different number of columns")
        || has("queries in the set operation must have the same")
        || has("have different number of columns")
    {
        let word = ["UNION", "INTERSECT", "EXCEPT"].into_iter().find(|word| has(word)).unwrap_or("UNION");
        return sql(SqlMistake::Syntax, format!("each {word} query must have the same number of columns"));
    }
    if has("WITH query name") && has("specified more than once") {
        return sql(SqlMistake::DuplicateAlias, line);
    }
    if let Some(name) = between(&line, "table '", "' not found") {
        return sql(SqlMistake::UndefinedTable, format!("relation \"{name}\" does not exist"));
    }
    if let Some(name) = between(&line, "table function '", "' not found") {
        return no_function(format!("function {name} does not exist"));
    }
    if has("Cannot find column with position") || (has("ORDER BY") && has("position")) {
        return sql(SqlMistake::InvalidColumnReference, "ORDER BY position is not in select list");
    }
    if has("Too many columns") {
        return sql(SqlMistake::Syntax, "subquery has too many columns");
    }
    if has("Scalar subquery should only return one column") || has("subquery must return only one column") {
        return sql(SqlMistake::Syntax, "subquery must return only one column");
    }
    if has("OFFSET must be >=0") || has("OFFSET must not be negative") {
        return data(DataError::InvalidOffset, "OFFSET must not be negative");
    }
    if has("LIMIT must be >= 0") || has("LIMIT must not be negative") {
        return data(DataError::InvalidLimit, "LIMIT must not be negative");
    }
    if has("No value found for placeholder") || has("Invalid placeholder") {
        return sql(SqlMistake::UndefinedParameter, line);
    }
    if has("Projections require unique expression names") || has("Schema contains duplicate") {
        return sql(SqlMistake::DuplicateAlias, line);
    }
    if has("physical plan is not yet implemented") || has("not supported") || has("Unsupported") || has("not implemented") {
        return unsupported(line);
    }
    if has("CAST") || has("Cannot automatically convert") || has("Unsupported CAST") {
        return sql(SqlMistake::CannotCoerce, line);
    }
    sql(SqlMistake::DatatypeMismatch, line)
}

fn grouping(text: &str) -> EngineError {
    let column = between(text, "Column in SELECT must be in GROUP BY or an aggregate function: While expanding wildcard, column \"", "\"")
        .or_else(|| between(text, "column \"", "\""));
    match column {
        Some(column) => {
            let column = column.rsplit('.').take(2).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join(".");
            sql(SqlMistake::Grouping, format!("column \"{column}\" must appear in the GROUP BY clause or be used in an aggregate function"))
        }
        None => sql(SqlMistake::Grouping, first_line(text)),
    }
}

fn execution(text: &str) -> EngineError {
    let line = first_line(text);
    let lower = line.to_ascii_lowercase();
    if lower.contains("divide by zero") || lower.contains("division by zero") {
        return data(DataError::DivisionByZero, "division by zero");
    }
    if lower.contains("more than one row") || lower.contains("more than 1 row") {
        return sql(SqlMistake::CardinalityViolation, "more than one row returned by a subquery used as an expression");
    }
    if lower.contains("overflow") || lower.contains("out of range") {
        return data(DataError::NumericOutOfRange, line);
    }
    if lower.contains("regular expression") || lower.contains("regex") {
        return data(DataError::InvalidRegularExpression, line);
    }
    if lower.contains("timezone") || lower.contains("time zone") {
        return data(DataError::InvalidParameterValue, line);
    }
    data(DataError::Other, line)
}

fn no_function(message: String) -> EngineError {
    EngineError::Sql {
        mistake: SqlMistake::UndefinedFunction,
        message,
        hint: Some("No function matches the given name and argument types. You might need to add explicit type casts.".to_owned()),
    }
}

/// AND and OR of what is not boolean: the first such operand is told.
fn boolean_operands(line: &str) -> EngineError {
    let message = operator_message(line);
    let operands = message.strip_prefix("operator does not exist: ").and_then(|operands| {
        ["AND", "OR"].into_iter().find_map(|word| operands.split_once(&format!(" {word} ")).map(|(left, right)| (left, word, right)))
    });
    match operands {
        Some((left, word, right)) => {
            let wrong = if left == "boolean" { right } else { left };
            sql(SqlMistake::DatatypeMismatch, format!("argument of {word} must be type boolean, not type {wrong}"))
        }
        None => sql(SqlMistake::DatatypeMismatch, message),
    }
}

/// PostgreSQL's names of Arrow's types, which may have parentheses with commas in them.
fn type_list(types: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    let parts = types.split(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    });
    parts.map(|part| pg_type_name(part.trim())).collect()
}

/// `Cannot coerce arithmetic expression Utf8 + Int64 to valid types` and kin.
fn operator_message(line: &str) -> String {
    for head in [
        "Cannot coerce arithmetic expression ",
        "Cannot infer common argument type for comparison operation ",
        "Cannot infer common argument type for logical boolean operation ",
        "Cannot infer common argument type for regex operation ",
        "Cannot infer common string type for string concat operation ",
        "Cannot infer common array type for arrow operation ",
    ] {
        if let Some(rest) = line.split(head).nth(1) {
            let words: Vec<&str> = rest.trim_end_matches(" to valid types").split(' ').collect();
            if let [left, operator, right] = words.as_slice() {
                return format!("operator does not exist: {} {operator} {}", pg_type_name(left), pg_type_name(right));
            }
        }
    }
    line.to_owned()
}

/// `f(Int64, Utf8)` with PostgreSQL's type names.
fn pg_signature(signature: &str) -> String {
    let Some((name, arguments)) = signature.split_once('(') else { return signature.to_owned() };
    let arguments = type_list(arguments.strip_suffix(')').unwrap_or(arguments));
    format!("{name}({})", arguments.join(", "))
}

fn pg_type_name(arrow: &str) -> &str {
    match arrow.split('(').next().unwrap_or_default() {
        "Boolean" => "boolean",
        "Int8" | "Int16" | "UInt8" => "smallint",
        "Int32" | "UInt16" => "integer",
        "Int64" | "UInt32" => "bigint",
        "UInt64" | "Decimal128" | "Decimal256" => "numeric",
        "Float32" => "real",
        "Float64" => "double precision",
        "Utf8" | "LargeUtf8" | "Utf8View" => "text",
        "Null" => "unknown",
        "Binary" | "LargeBinary" | "BinaryView" => "bytea",
        "Date32" | "Date64" => "date",
        "Interval" => "interval",
        "Timestamp" if arrow.contains("Some") || arrow.contains("UTC") => "timestamp with time zone",
        "Timestamp" => "timestamp without time zone",
        "Time64" | "Time32" => "time without time zone",
        _ => arrow,
    }
}

fn between<'a>(text: &'a str, head: &str, tail: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(head)?;
    rest.split_once(tail).map(|(found, _)| found)
}

fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("Error during planning: ").unwrap_or(line).to_owned()
}

/// A statement that nests deeper than the engine plans.
#[must_use]
pub fn too_complex(depth_max: usize) -> EngineError {
    EngineError::Limit {
        limit: Limit::StatementTooComplex,
        message: format!("statement is too complex: expressions nest deeper than {depth_max} levels"),
    }
}
