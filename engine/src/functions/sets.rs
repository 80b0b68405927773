//! Set-returning functions as functions that give lists: FROM and select lists unnest them.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int32Array, Int64Array, ListArray, StringArray, StructArray};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::datatypes::{
    DataType, Decimal128Type, Field, Fields, Int32Type, Int64Type, IntervalMonthDayNanoType, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::{Result, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF};
use lakegate_engine_api::catalog::PgType;
use lakegate_engine_api::{DataError, EngineError, Limit, arrow_field};

use super::datetime::add_interval;
use super::error::{data, external, mistake};
use super::function::{Body, Columns, PgFunction, Returns};
use super::session::Session;
use super::text::zone::Zone;
use super::types::Ty;

/// Longest list that a set-returning function makes in one row.
const ROWS_MAX: usize = 20_000_000;

/// A function that may stand in FROM and gives rows.
#[derive(Debug)]
pub struct SetFunction {
    pub name: &'static str,
    /// The function that gives the rows as a list.
    pub list: &'static str,
    /// Columns of the rows; none where the elements are the one column.
    pub columns: &'static [&'static str],
    /// The name of that column where it is not the function's or its alias.
    pub value: Option<&'static str>,
}

const fn set(name: &'static str, list: &'static str) -> SetFunction {
    SetFunction { name, list, columns: &[], value: None }
}

const fn values(name: &'static str, list: &'static str) -> SetFunction {
    SetFunction { name, list, columns: &[], value: Some("value") }
}

const fn records(name: &'static str, list: &'static str, columns: &'static [&'static str]) -> SetFunction {
    SetFunction { name, list, columns, value: None }
}

pub const SET_FUNCTIONS: &[SetFunction] = &[
    set("generate_series", "#generate_series"),
    set("generate_subscripts", "#generate_subscripts"),
    set("unnest", "#unnest"),
    set("regexp_matches", "#regexp_matches_rows"),
    set("regexp_split_to_table", "regexp_split_to_array"),
    set("string_to_table", "string_to_array"),
    values("json_array_elements", "#json_array_elements"),
    values("jsonb_array_elements", "#json_array_elements"),
    values("json_array_elements_text", "#json_array_elements_text"),
    values("jsonb_array_elements_text", "#json_array_elements_text"),
    set("json_object_keys", "#json_object_keys"),
    set("jsonb_object_keys", "#json_object_keys"),
    records("json_each", "#json_each", &["key", "value"]),
    records("jsonb_each", "#json_each", &["key", "value"]),
    records("json_each_text", "#json_each_text", &["key", "value"]),
    records("jsonb_each_text", "#json_each_text", &["key", "value"]),
    set("pg_listening_channels", "#pg_listening_channels"),
    set("pg_partition_ancestors", "#pg_partition_ancestors"),
    records("_pg_expandarray", "_pg_expandarray", &["x", "n"]),
    records("aclexplode", "#aclexplode", &["grantor", "grantee", "privilege_type", "is_grantable"]),
    records("pg_options_to_table", "#pg_options_to_table", &["option_name", "option_value"]),
    records("pg_available_extensions", "#pg_available_extensions", &["name", "default_version", "comment"]),
    records("pg_show_all_settings", "#pg_show_all_settings", super::catalog_objects::SETTING_COLUMNS),
    records("pg_get_keywords", "#pg_get_keywords", &["word", "catcode", "barelabel", "catdesc", "baredesc"]),
];

#[must_use]
pub fn set_function(name: &str) -> Option<&'static SetFunction> {
    SET_FUNCTIONS.iter().find(|function| function.name == name)
}

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let int4s = || Ty::Array(PgType::INT4);
    vec![
        PgFunction::immutable("#unnest")
            .on(&[Ty::AnyArray], Returns::By(plain_list), columns(|args| Ok(Arc::clone(&args.arrays[0]))))
            .build(),
        PgFunction::immutable("#generate_subscripts")
            .on(&[Ty::AnyArray, Ty::INT4], int4s(), columns(|args| subscripts(args, false)))
            .on(
                &[Ty::AnyArray, Ty::INT4, Ty::BOOL],
                int4s(),
                columns(|args| subscripts(args, args.arrays[2].as_boolean().iter().any(|reverse| reverse == Some(true)))),
            )
            .build(),
        PgFunction::immutable("#with_ordinality").on_nullable(&[Ty::AnyArray], Returns::By(ordinal_type), columns(with_ordinality)).build(),
        PgFunction::immutable("#field").on_nullable(&[Ty::Any, Ty::TEXT], Returns::By(field_type), columns(field)).build(),
        PgFunction::immutable("#regexp_matches_rows")
            .on(&[Ty::TEXT, Ty::TEXT], Returns::By(nested_texts), columns(matches))
            .on(&[Ty::TEXT, Ty::TEXT, Ty::TEXT], Returns::By(nested_texts), columns(matches))
            .build(),
        // There are no partitioned tables in PostgreSQL's sense.
        PgFunction::stable("#pg_partition_ancestors").on(&[Ty::REGCLASS], Ty::Array(PgType::REGCLASS), columns(empty_lists)).build(),
        PgFunction::immutable("_pg_expandarray").on(&[Ty::AnyArray], Returns::By(expanded_type), columns(expanded)).build(),
        PgFunction::immutable("#pg_options_to_table").on(&[Ty::TEXTS], Returns::By(options_type), columns(options)).build(),
        PgFunction::immutable("#pg_get_keywords").on(&[], Returns::By(keywords_type), columns(keywords)).build(),
    ]
}

/// Series of moments go by the session's wall clock.
pub fn session_functions(session: &Arc<Session>) -> Vec<Arc<ScalarUDF>> {
    vec![series(session)]
}

fn columns(body: impl Fn(&Columns<'_>) -> Result<ArrayRef> + Send + Sync + 'static) -> Body {
    Body::Columns(Box::new(body))
}

fn too_long() -> DataFusionError {
    external(EngineError::Limit {
        limit: Limit::ProgramLimit,
        message: format!("a function would return more than {ROWS_MAX} rows for one row"),
    })
}

fn element_of(result: &Field) -> Arc<Field> {
    match result.data_type() {
        DataType::List(field) => Arc::clone(field),
        _ => Arc::new(Field::new("element", DataType::Null, true)),
    }
}

fn list_of(element: Field) -> Field {
    Field::new("", DataType::List(Arc::new(element.with_name("element").with_nullable(true))), true)
}

/// The array itself, without a vector's tag.
fn plain_list(args: &ReturnFieldArgs<'_>) -> Result<Field> {
    match args.arg_fields.first().map(|field| field.data_type()) {
        Some(DataType::List(element)) => Ok(list_of(element.as_ref().clone())),
        _ => Ok(list_of(Field::new("element", DataType::Utf8, true))),
    }
}

fn series(session: &Arc<Session>) -> Arc<ScalarUDF> {
    let zone = session.style.zone;
    let (int4, int8, stamp, stamptz) = (PgType::INT4, PgType::INT8, PgType::TIMESTAMP, PgType::TIMESTAMPTZ);
    let mut function = PgFunction::stable("#generate_series").of_session(session.identity());
    for pg in [int4, int8] {
        let ty = Ty::Is(pg);
        function = function.on(&[ty.clone(), ty.clone()], Ty::Array(pg), columns(integer_series)).on(
            &[ty.clone(), ty.clone(), ty],
            Ty::Array(pg),
            columns(integer_series),
        );
    }
    function = function.on(&[Ty::Numeric, Ty::Numeric], Returns::By(numeric_list), columns(numeric_series)).on(
        &[Ty::Numeric, Ty::Numeric, Ty::Numeric],
        Returns::By(numeric_list),
        columns(numeric_series),
    );
    for pg in [stamp, stamptz] {
        let ty = Ty::Is(pg);
        function = function.on(&[ty.clone(), ty, Ty::INTERVAL], Ty::Array(pg), columns(move |args| timestamp_series(args, zone)));
    }
    function.build()
}

fn numeric_list(args: &ReturnFieldArgs<'_>) -> Result<Field> {
    let scale = args.arg_fields.iter().map(|field| if let DataType::Decimal128(_, scale) = field.data_type() { *scale } else { 0 }).max();
    Ok(list_of(Field::new("element", DataType::Decimal128(38, scale.unwrap_or(0)), true)))
}

fn zero_step() -> DataFusionError {
    data(DataError::InvalidParameterValue, "step size cannot equal zero")
}

/// Steps from one value to another; `None` where an argument is NULL.
fn steps(from: i128, to: i128, step: i128) -> Result<Vec<i128>> {
    if step == 0 {
        return Err(zero_step());
    }
    let mut values = Vec::new();
    let mut at = from;
    while (step > 0 && at <= to) || (step < 0 && at >= to) {
        if values.len() == ROWS_MAX {
            return Err(too_long());
        }
        values.push(at);
        at += step;
    }
    Ok(values)
}

fn integer_series(args: &Columns<'_>) -> Result<ArrayRef> {
    let narrow = matches!(element_of(args.result).data_type(), DataType::Int32);
    let value = |column: usize, row: usize| -> Option<i128> {
        let Some(array) = args.arrays.get(column) else { return Some(1) };
        if array.is_null(row) {
            return None;
        }
        Some(if narrow {
            i128::from(array.as_primitive::<Int32Type>().value(row))
        } else {
            i128::from(array.as_primitive::<Int64Type>().value(row))
        })
    };
    let (mut all, mut lengths, mut valid) = (Vec::new(), Vec::new(), Vec::new());
    for row in 0..args.rows {
        match (value(0, row), value(1, row), value(2, row)) {
            (Some(from), Some(to), Some(step)) => {
                let values = steps(from, to, step)?;
                lengths.push(values.len());
                all.extend(values.into_iter().map(|value| i64::try_from(value).unwrap_or(i64::MAX)));
                valid.push(true);
            }
            _ => {
                lengths.push(0);
                valid.push(false);
            }
        }
    }
    let values: ArrayRef = if narrow {
        Arc::new(all.into_iter().map(|value| i32::try_from(value).ok()).collect::<Int32Array>())
    } else {
        Arc::new(Int64Array::from(all))
    };
    list(args, lengths, values, valid)
}

fn list(args: &Columns<'_>, lengths: Vec<usize>, values: ArrayRef, valid: Vec<bool>) -> Result<ArrayRef> {
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(ListArray::try_new(element_of(args.result), offsets, values, Some(NullBuffer::from(valid)))?))
}

fn numeric_series(args: &Columns<'_>) -> Result<ArrayRef> {
    let element = element_of(args.result);
    let DataType::Decimal128(_, scale) = element.data_type() else {
        return Err(mistake(lakegate_engine_api::SqlMistake::DatatypeMismatch, "numeric expected"));
    };
    let one = 10_i128.pow(u32::from(scale.unsigned_abs()));
    let arrays = args
        .arrays
        .iter()
        .map(|array| Ok(datafusion::arrow::compute::cast(array, &DataType::Decimal128(38, *scale))?))
        .collect::<Result<Vec<_>>>()?;
    let value = |column: usize, row: usize| match arrays.get(column) {
        None => Some(one),
        Some(array) => array.is_valid(row).then(|| array.as_primitive::<Decimal128Type>().value(row)),
    };
    let (mut all, mut lengths, mut valid) = (Vec::new(), Vec::new(), Vec::new());
    for row in 0..args.rows {
        match (value(0, row), value(1, row), value(2, row)) {
            (Some(from), Some(to), Some(step)) => {
                let values = steps(from, to, step)?;
                lengths.push(values.len());
                all.extend(values);
                valid.push(true);
            }
            _ => {
                lengths.push(0);
                valid.push(false);
            }
        }
    }
    let values = datafusion::arrow::array::Decimal128Array::from(all).with_precision_and_scale(38, *scale)?;
    list(args, lengths, Arc::new(values), valid)
}

fn timestamp_series(args: &Columns<'_>, session_zone: Zone) -> Result<ArrayRef> {
    let element = element_of(args.result);
    let DataType::Timestamp(TimeUnit::Microsecond, zone) = element.data_type() else {
        return Err(mistake(lakegate_engine_api::SqlMistake::DatatypeMismatch, "a timestamp was expected"));
    };
    let stamp = |column: usize, row: usize| {
        let array = args.arrays[column].as_primitive::<TimestampMicrosecondType>();
        array.is_valid(row).then(|| array.value(row))
    };
    let interval = args.arrays[2].as_primitive::<IntervalMonthDayNanoType>();
    let session_zone = zone.is_some().then_some(session_zone);
    let (mut all, mut lengths, mut valid) = (Vec::new(), Vec::new(), Vec::new());
    for row in 0..args.rows {
        let (Some(from), Some(to), false) = (stamp(0, row), stamp(1, row), interval.is_null(row)) else {
            lengths.push(0);
            valid.push(false);
            continue;
        };
        let step = interval.value(row);
        let forward =
            i128::from(step.months) * 30 * 86_400_000_000_000 + i128::from(step.days) * 86_400_000_000_000 + i128::from(step.nanoseconds);
        if forward == 0 {
            return Err(zero_step());
        }
        let before = all.len();
        let mut at = from;
        while (forward > 0 && at <= to) || (forward < 0 && at >= to) {
            if all.len() - before == ROWS_MAX {
                return Err(too_long());
            }
            all.push(at);
            at = add_interval(at, step, session_zone, 1)?;
        }
        lengths.push(all.len() - before);
        valid.push(true);
    }
    let values = datafusion::arrow::array::TimestampMicrosecondArray::from(all).with_timezone_opt(zone.clone());
    list(args, lengths, Arc::new(values), valid)
}

fn subscripts(args: &Columns<'_>, reverse: bool) -> Result<ArrayRef> {
    let array = args.arrays[0].as_list::<i32>();
    let dimension = args.arrays[1].as_primitive::<Int32Type>();
    let first = i32::from(!matches!(lakegate_engine_api::pg_type(&args.fields[0]).oid, 22 | 30));
    let (mut all, mut lengths, mut valid) = (Vec::new(), Vec::new(), Vec::new());
    for row in 0..args.rows {
        let size = if array.is_valid(row) && dimension.value(row) == 1 { array.value_length(row) } else { 0 };
        let range = first..first + size;
        if reverse {
            all.extend(range.rev())
        } else {
            all.extend(range)
        }
        lengths.push(usize::try_from(size).unwrap_or(0));
        valid.push(array.is_valid(row));
    }
    list(args, lengths, Arc::new(Int32Array::from(all)), valid)
}

fn ordinal_type(args: &ReturnFieldArgs<'_>) -> Result<Field> {
    let inner = plain_list(args)?;
    let value = element_of(&inner).as_ref().clone().with_name("v");
    let fields = Fields::from(vec![value, Field::new("ordinality", DataType::Int64, true)]);
    Ok(list_of(Field::new("element", DataType::Struct(fields), true)))
}

fn with_ordinality(args: &Columns<'_>) -> Result<ArrayRef> {
    let element = element_of(args.result);
    let DataType::Struct(fields) = element.data_type() else {
        return Err(mistake(lakegate_engine_api::SqlMistake::DatatypeMismatch, "rows expected"));
    };
    let array = args.arrays[0].as_list::<i32>();
    // A sliced array's values reach beyond its rows.
    let compact = compacted(array)?;
    let numbers: Int64Array = (0..compact.len()).flat_map(|row| 1..=i64::from(compact.value_length(row))).collect();
    let rows = StructArray::try_new(fields.clone(), vec![Arc::clone(compact.values()), Arc::new(numbers)], None)?;
    Ok(Arc::new(ListArray::try_new(element, compact.offsets().clone(), Arc::new(rows), compact.nulls().cloned())?))
}

/// The same lists with offsets from 0 and no values between them.
fn compacted(array: &ListArray) -> Result<ListArray> {
    let indices: datafusion::arrow::array::UInt32Array = (0..u32::try_from(array.len()).unwrap_or(u32::MAX)).collect();
    let taken = datafusion::arrow::compute::take(array, &indices, None)?;
    Ok(taken.as_list::<i32>().clone())
}

fn field_type(args: &ReturnFieldArgs<'_>) -> Result<Field> {
    let (Some(field), Some(Some(ScalarValue::Utf8(Some(name))))) = (args.arg_fields.first(), args.scalar_arguments.get(1)) else {
        return Err(DataFusionError::Internal("a field's name must be a constant".to_owned()));
    };
    let DataType::Struct(fields) = field.data_type() else {
        return Err(mistake(
            lakegate_engine_api::SqlMistake::WrongObjectType,
            format_args!(
                "column notation .{name} applied to type {}, which is not a composite type",
                super::types::describe(field.data_type())
            ),
        ));
    };
    match fields.iter().find(|field| field.name() == name) {
        Some(field) => Ok(field.as_ref().clone()),
        None => {
            Err(mistake(lakegate_engine_api::SqlMistake::UndefinedColumn, format_args!("column \"{name}\" not found in data type record")))
        }
    }
}

fn field(args: &Columns<'_>) -> Result<ArrayRef> {
    let rows = args.arrays[0].as_struct();
    let name = args.arrays[1].as_string::<i32>();
    let name = if name.is_empty() { "" } else { name.value(0) };
    let Some(column) = rows.column_by_name(name) else { return Err(DataFusionError::Internal(format!("no field {name}"))) };
    // A NULL record has NULL fields.
    let nulls = NullBuffer::union(rows.nulls(), column.logical_nulls().as_ref());
    let data = column.to_data().into_builder().nulls(nulls).build()?;
    Ok(datafusion::arrow::array::make_array(data))
}

fn nested_texts(_: &ReturnFieldArgs<'_>) -> Result<Field> {
    Ok(list_of(list_of(Field::new("element", DataType::Utf8, true))))
}

fn matches(args: &Columns<'_>) -> Result<ArrayRef> {
    let texts = |column: usize| args.arrays.get(column).map(|array| array.as_string::<i32>());
    let element = element_of(args.result);
    let inner = element_of(&element);
    let (mut groups, mut group_lengths, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
    for row in 0..args.rows {
        let mut count = 0;
        if let (Some(text), Some(pattern)) = (texts(0), texts(1))
            && text.is_valid(row)
            && pattern.is_valid(row)
        {
            let flags = texts(2).map_or("", |flags| flags.value(row));
            let regex = super::regex::compiled(pattern.value(row), &flags.replace('g', ""))?;
            let limit = if flags.contains('g') { usize::MAX } else { 1 };
            for found in super::regex_positions::matches(&regex, text.value(row), 0).take(limit) {
                let before = groups.len();
                let skip = usize::from(found.len() > 1);
                groups.extend(found.iter().skip(skip).map(|group| group.map(|group| group.as_str().to_owned())));
                group_lengths.push(groups.len() - before);
                count += 1;
            }
        }
        lengths.push(count);
    }
    let texts: StringArray = groups.into_iter().collect();
    let rows = ListArray::try_new(inner, OffsetBuffer::from_lengths(group_lengths), Arc::new(texts), None)?;
    Ok(Arc::new(ListArray::try_new(element, OffsetBuffer::from_lengths(lengths), Arc::new(rows), None)?))
}

fn empty_lists(args: &Columns<'_>) -> Result<ArrayRef> {
    let element = element_of(args.result);
    let values = datafusion::arrow::array::new_empty_array(element.data_type());
    let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(0, args.rows));
    Ok(Arc::new(ListArray::try_new(element, offsets, values, None)?))
}

fn expanded_type(args: &ReturnFieldArgs<'_>) -> Result<Field> {
    let inner = plain_list(args)?;
    let value = element_of(&inner).as_ref().clone().with_name("x");
    let fields = Fields::from(vec![value, Field::new("n", DataType::Int32, true)]);
    Ok(list_of(Field::new("element", DataType::Struct(fields), true)))
}

fn expanded(args: &Columns<'_>) -> Result<ArrayRef> {
    let element = element_of(args.result);
    let DataType::Struct(fields) = element.data_type() else { return Err(DataFusionError::Internal("rows expected".to_owned())) };
    let compact = compacted(args.arrays[0].as_list::<i32>())?;
    let numbers: Int32Array = (0..compact.len()).flat_map(|row| 1..=compact.value_length(row)).collect();
    let rows = StructArray::try_new(fields.clone(), vec![Arc::clone(compact.values()), Arc::new(numbers)], None)?;
    Ok(Arc::new(ListArray::try_new(element, compact.offsets().clone(), Arc::new(rows), compact.nulls().cloned())?))
}

fn text_fields(names: &[&str]) -> Result<Field> {
    let fields: Vec<Field> = names.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect();
    Ok(list_of(Field::new("element", DataType::Struct(Fields::from(fields)), true)))
}

fn options_type(_: &ReturnFieldArgs<'_>) -> Result<Field> {
    text_fields(&["option_name", "option_value"])
}

fn options(args: &Columns<'_>) -> Result<ArrayRef> {
    let element = element_of(args.result);
    let DataType::Struct(fields) = element.data_type() else { return Err(DataFusionError::Internal("rows expected".to_owned())) };
    let compact = compacted(args.arrays[0].as_list::<i32>())?;
    let options = compact.values().as_string::<i32>();
    let part = |at: usize| -> StringArray {
        options
            .iter()
            .map(|option| {
                option.and_then(|option| match option.split_once('=') {
                    Some((name, value)) => Some(if at == 0 { name } else { value }),
                    None => (at == 0).then_some(option),
                })
            })
            .collect()
    };
    let rows = StructArray::try_new(fields.clone(), vec![Arc::new(part(0)), Arc::new(part(1))], None)?;
    Ok(Arc::new(ListArray::try_new(element, compact.offsets().clone(), Arc::new(rows), compact.nulls().cloned())?))
}

fn keywords_type(_: &ReturnFieldArgs<'_>) -> Result<Field> {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let catcode = arrow_field("catcode", PgType::CHAR, true).unwrap_or_else(|| text("catcode"));
    let fields =
        Fields::from(vec![text("word"), catcode, Field::new("barelabel", DataType::Boolean, true), text("catdesc"), text("baredesc")]);
    Ok(list_of(Field::new("element", DataType::Struct(fields), true)))
}

/// PostgreSQL 15's keywords, as `pg_get_keywords()` lists them.
const KEYWORDS: &str = include_str!("keywords.tsv");

fn keywords(args: &Columns<'_>) -> Result<ArrayRef> {
    let element = element_of(args.result);
    let DataType::Struct(fields) = element.data_type() else { return Err(DataFusionError::Internal("rows expected".to_owned())) };
    let rows: Vec<Vec<&str>> = KEYWORDS.lines().map(|line| line.split('\t').collect()).collect();
    let text = |at: usize| -> ArrayRef { Arc::new(rows.iter().map(|row| row.get(at).copied()).collect::<StringArray>()) };
    let bare: BooleanArray = rows.iter().map(|row| row.get(2).map(|value| *value == "t")).collect();
    let values = StructArray::try_new(fields.clone(), vec![text(0), text(1), Arc::new(bare), text(3), text(4)], None)?;
    let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(rows.len(), 1));
    let one = ListArray::try_new(element, offsets, Arc::new(values), None)?;
    ScalarValue::try_from_array(&one, 0)?.to_array_of_size(args.rows.max(1))
}
