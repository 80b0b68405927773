//! Arrays (documentation, section 9.19): one dimension, subscripts from 1; vectors (int2vector, oidvector) from 0.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Int32Array, ListArray, MutableArrayData, make_array, make_comparator, new_null_array,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::{self, SortOptions};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF};
use lakegate_engine_api::catalog::PgType;
use lakegate_engine_api::{PG_TYPE_KEY, pg_type};

use super::call::Row;
use super::error::unsupported;
use super::function::{Body, Columns, PgFunction, Returns};
use super::session::Session;
use super::text::{array, value_out};
use super::types::Ty;

/// A text array's literal.
#[must_use]
pub fn literal(texts: &[Option<String>]) -> String {
    let mut out = "{".to_owned();
    for (at, text) in texts.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        match text {
            Some(text) => array::push_element(&mut out, text),
            None => out.push_str("NULL"),
        }
    }
    out.push('}');
    out
}

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        PgFunction::immutable("#array_order").on(&[Ty::AnyArray, Ty::AnyArray], Ty::INT4, Body::Columns(Box::new(order))).build(),
        PgFunction::immutable("#make_array").variadic(&[Ty::Any], Returns::By(literal_type), columns(make_literal)).build(),
        PgFunction::immutable("#subscript").on_nullable(&[Ty::AnyArray, Ty::INT4], Returns::Element(0), columns(subscript)).build(),
        PgFunction::immutable("#slice").on_nullable(&[Ty::AnyArray, Ty::INT4, Ty::INT4], Returns::Same(0), columns(slice)).build(),
        PgFunction::immutable("array_cat").on_nullable(&[Ty::AnyArray, Ty::AnyArray], Returns::By(array_type), columns(cat)).build(),
        PgFunction::immutable("array_append")
            .on_nullable(&[Ty::AnyArray, Ty::Element], Returns::By(array_type), columns(|args| push(args, 0, 1)))
            .build(),
        PgFunction::immutable("array_prepend")
            .on_nullable(&[Ty::Element, Ty::AnyArray], Returns::By(array_type), columns(|args| push(args, 1, 0)))
            .build(),
        PgFunction::immutable("array_remove").on_nullable(&[Ty::AnyArray, Ty::Element], Returns::Same(0), columns(remove)).build(),
        PgFunction::immutable("array_replace")
            .on_nullable(&[Ty::AnyArray, Ty::Element, Ty::Element], Returns::Same(0), columns(replace))
            .build(),
        PgFunction::immutable("trim_array").on(&[Ty::AnyArray, Ty::INT4], Returns::Same(0), columns(trim)).build(),
        PgFunction::immutable("array_length")
            .on(&[Ty::AnyArray, Ty::INT4], Ty::INT4, Body::Int(Box::new(|row| Ok(dimension(row).filter(|length| *length > 0)))))
            .build(),
        PgFunction::immutable("array_upper")
            .on(
                &[Ty::AnyArray, Ty::INT4],
                Ty::INT4,
                Body::Int(Box::new(|row| Ok(dimension(row).filter(|length| *length > 0).map(|length| length - 1 + lower(row))))),
            )
            .build(),
        PgFunction::immutable("array_lower")
            .on(
                &[Ty::AnyArray, Ty::INT4],
                Ty::INT4,
                Body::Int(Box::new(|row| Ok(dimension(row).filter(|length| *length > 0).map(|_| lower(row))))),
            )
            .build(),
        PgFunction::immutable("array_ndims")
            .on(
                &[Ty::AnyArray],
                Ty::INT4,
                Body::Int(Box::new(|row| Ok(row.list(0).filter(|list| !list.is_empty()).map(|list| depth(&list))))),
            )
            .build(),
        PgFunction::immutable("array_dims")
            .on(
                &[Ty::AnyArray],
                Ty::TEXT,
                Body::Text(Box::new(|row| Ok(row.list(0).filter(|list| !list.is_empty()).map(|list| dimensions(&list, lower(row)))))),
            )
            .build(),
        PgFunction::immutable("cardinality")
            .on(&[Ty::AnyArray], Ty::INT4, Body::Int(Box::new(|row| Ok(row.list(0).map(|list| leaves(&list))))))
            .build(),
        PgFunction::immutable("array_position")
            .on_nullable(&[Ty::AnyArray, Ty::Element], Ty::INT4, Body::Int(Box::new(|row| position(row, 0))))
            .on_nullable(&[Ty::AnyArray, Ty::Element, Ty::INT4], Ty::INT4, Body::Int(Box::new(|row| position(row, row.int(2) - 1))))
            .build(),
        PgFunction::immutable("array_positions")
            .on_nullable(&[Ty::AnyArray, Ty::Element], Ty::Array(PgType::INT4), columns(positions))
            .build(),
        PgFunction::immutable("#or_empty").on_nullable(&[Ty::AnyArray], Returns::Same(0), columns(or_empty)).build(),
        // What a subquery's rows were gathered into.
        PgFunction::immutable("#single").on(&[Ty::AnyArray], Returns::Element(0), columns(single)).build(),
        PgFunction::immutable("#any")
            .on_nullable(&[Ty::Element, Ty::TEXT, Ty::AnyArray], Ty::BOOL, Body::Bool(Box::new(|row| quantified(row, false))))
            .build(),
        PgFunction::immutable("#all")
            .on_nullable(&[Ty::Element, Ty::TEXT, Ty::AnyArray], Ty::BOOL, Body::Bool(Box::new(|row| quantified(row, true))))
            .build(),
        PgFunction::immutable("#array_overlaps")
            .on(&[Ty::AnyArray, Ty::AnyArray], Ty::BOOL, Body::Bool(Box::new(|row| contains(row, false))))
            .build(),
        PgFunction::immutable("#array_contains")
            .on(&[Ty::AnyArray, Ty::AnyArray], Ty::BOOL, Body::Bool(Box::new(|row| contains(row, true))))
            .build(),
        PgFunction::immutable("array_fill")
            .on_nullable(&[Ty::Any, Ty::Array(PgType::INT4)], Returns::By(filled_type), columns(fill))
            .build(),
    ]
}

pub fn session_functions(session: &Arc<Session>) -> Vec<Arc<ScalarUDF>> {
    let (a, b) = (Arc::clone(session), Arc::clone(session));
    vec![
        PgFunction::stable("array_to_string")
            .of_session(session.identity())
            .on(&[Ty::AnyArray, Ty::TEXT], Ty::TEXT, Body::Text(Box::new(move |row| joined(row, None, &a))))
            .on_nullable(
                &[Ty::AnyArray, Ty::TEXT, Ty::TEXT],
                Ty::TEXT,
                Body::Text(Box::new(move |row| {
                    if row.is_null(0) || row.is_null(1) {
                        return Ok(None);
                    }
                    let null = if row.is_null(2) { None } else { Some(row.text(2)) };
                    joined(row, null, &b)
                })),
            )
            .build(),
    ]
}

fn columns(body: impl Fn(&Columns<'_>) -> Result<ArrayRef> + Send + Sync + 'static) -> Body {
    Body::Columns(Box::new(body))
}

fn length(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// First subscript: vectors begin at 0.
fn lower(row: &Row<'_>) -> i64 {
    i64::from(!is_vector(row.pg_type(0)))
}

fn is_vector(pg: PgType) -> bool {
    matches!(pg.oid, 22 | 30)
}

fn depth(list: &ArrayRef) -> i64 {
    match list.data_type() {
        DataType::List(_) if !list.is_empty() => 1 + depth(&list.as_list::<i32>().value(0)),
        _ => 1,
    }
}

/// `[1:2][1:3]`.
fn dimensions(list: &ArrayRef, lower: i64) -> String {
    let own = format!("[{lower}:{}]", length(list.len()) - 1 + lower);
    match list.data_type() {
        DataType::List(_) if !list.is_empty() => own + &dimensions(&list.as_list::<i32>().value(0), lower),
        _ => own,
    }
}

fn leaves(list: &ArrayRef) -> i64 {
    match list.data_type() {
        DataType::List(_) => (0..list.len()).map(|at| leaves(&list.as_list::<i32>().value(at))).sum(),
        _ => length(list.len()),
    }
}

/// Length of the dimension that the second argument names.
fn dimension(row: &Row<'_>) -> Option<i64> {
    let mut list = row.list(0)?;
    for _ in 1..row.int(1) {
        list = match list.data_type() {
            DataType::List(_) if !list.is_empty() => list.as_list::<i32>().value(0),
            _ => return None,
        };
    }
    (row.int(1) >= 1).then(|| length(list.len()))
}

/// The field of an array over elements of a field, tagged with the array type where the element is tagged.
fn array_over(element: &Field) -> Field {
    let list = DataType::List(Arc::new(element.clone().with_name("element").with_nullable(true)));
    Field::new("", list, true)
}

fn literal_type(args: &ReturnFieldArgs<'_>) -> Result<Field> {
    let is_null = |field: &FieldRef| field.data_type() == &DataType::Null;
    // An open literal takes the type of the others.
    let is_open = |at: usize| {
        let constant = matches!(args.scalar_arguments.get(at), Some(Some(ScalarValue::Utf8(_))));
        constant && args.arg_fields[at].metadata().is_empty()
    };
    let typed = args.arg_fields.iter().enumerate().find(|(at, field)| !is_null(field) && !is_open(*at)).map(|(_, field)| field);
    let element = typed.or_else(|| args.arg_fields.iter().find(|field| !is_null(field)));
    let element = element.map_or_else(|| Field::new("element", DataType::Utf8, true), |field| field.as_ref().clone());
    let array = array_over(&element);
    // Of a constant's elements no field is kept: the list's own tag says what they are.
    let tag =
        PgType::array_of(pg_type(&element).oid).filter(|_| element.metadata().contains_key(PG_TYPE_KEY) && array.metadata().is_empty());
    Ok(match tag.filter(|_| !element.data_type().is_decimal()) {
        Some(oid) => array.with_metadata([(PG_TYPE_KEY.to_owned(), oid.to_string())].into()),
        None => array,
    })
}

fn array_type(args: &ReturnFieldArgs<'_>) -> Result<Field> {
    let array = args.arg_fields.iter().find(|field| matches!(field.data_type(), DataType::List(_)));
    Ok(match (array, args.arg_fields.iter().find(|field| field.data_type() != &DataType::Null)) {
        (Some(field), _) => {
            // A vector joined with something is a plain array.

            if is_vector(pg_type(field)) { field.as_ref().clone().with_metadata([].into()) } else { field.as_ref().clone() }
        }
        (None, Some(element)) => array_over(element),
        (None, None) => array_over(&Field::new("element", DataType::Utf8, true)),
    })
}

fn filled_type(args: &ReturnFieldArgs<'_>) -> Result<Field> {
    literal_type(&ReturnFieldArgs { arg_fields: &args.arg_fields[..1], scalar_arguments: &args.scalar_arguments[..1] })
}

fn element_field(result: &Field) -> Arc<Field> {
    match result.data_type() {
        DataType::List(field) => Arc::clone(field),
        _ => Arc::new(Field::new("element", DataType::Null, true)),
    }
}

/// Builds lists row by row out of slices of given arrays.
struct Lists<'a> {
    data: MutableArrayData<'a>,
    lengths: Vec<usize>,
    valid: Vec<bool>,
    open: usize,
}

impl<'a> Lists<'a> {
    fn new(sources: Vec<&'a datafusion::arrow::array::ArrayData>) -> Self {
        Lists { data: MutableArrayData::new(sources, true, 0), lengths: Vec::new(), valid: Vec::new(), open: 0 }
    }

    fn take(&mut self, source: usize, start: usize, end: usize) -> Result<()> {
        self.data.try_extend(source, start, end)?;
        self.open += end - start;
        Ok(())
    }

    fn null_element(&mut self) -> Result<()> {
        self.data.try_extend_nulls(1)?;
        self.open += 1;
        Ok(())
    }

    fn close(&mut self, valid: bool) {
        self.lengths.push(self.open);
        self.valid.push(valid);
        self.open = 0;
    }

    fn finish(self, element: Arc<Field>) -> Result<ArrayRef> {
        let values = make_array(self.data.freeze());
        let offsets = OffsetBuffer::from_lengths(self.lengths);
        Ok(Arc::new(ListArray::try_new(element, offsets, values, Some(NullBuffer::from(self.valid)))?))
    }
}

fn or_empty(args: &Columns<'_>) -> Result<ArrayRef> {
    let Some(list) = args.arrays[0].as_list_opt::<i32>() else { return Ok(Arc::clone(&args.arrays[0])) };
    if list.null_count() == 0 {
        return Ok(Arc::clone(&args.arrays[0]));
    }
    let data = list.values().to_data();
    let mut lists = Lists::new(vec![&data]);
    for row in 0..args.rows {
        if list.is_valid(row) {
            let (start, end) = range(list, row);
            lists.take(0, start, end)?;
        }
        lists.close(true);
    }
    lists.finish(element_field(args.result))
}

/// The one element, NULL of none.
fn single(args: &Columns<'_>) -> Result<ArrayRef> {
    let list = args.arrays[0].as_list::<i32>();
    let data = list.values().to_data();
    let mut out = MutableArrayData::new(vec![&data], true, args.rows);
    for row in 0..args.rows {
        let (start, end) = range(list, row);
        match end - start {
            1 if list.is_valid(row) => out.try_extend(0, start, end)?,
            count if count > 1 && list.is_valid(row) => {
                return Err(super::error::mistake(
                    lakegate_engine_api::SqlMistake::CardinalityViolation,
                    "more than one row returned by a subquery used as an expression",
                ));
            }
            _ => out.try_extend_nulls(1)?,
        }
    }
    Ok(make_array(out.freeze()))
}

fn make_literal(args: &Columns<'_>) -> Result<ArrayRef> {
    let element = element_field(args.result);
    if args.arrays.is_empty() {
        let values = new_null_array(element.data_type(), 0);
        let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(0, args.rows));
        return Ok(Arc::new(ListArray::try_new(element, offsets, values, None)?));
    }
    let arrays = args
        .arrays
        .iter()
        .map(|array| match array.data_type() {
            DataType::Null => Ok(new_null_array(element.data_type(), array.len())),
            _ => Ok(datafusion::arrow::compute::cast(array, element.data_type())?),
        })
        .collect::<Result<Vec<ArrayRef>>>()?;
    let data: Vec<_> = arrays.iter().map(Array::to_data).collect();
    let mut lists = Lists::new(data.iter().collect());
    for row in 0..args.rows {
        for source in 0..data.len() {
            lists.take(source, row, row + 1)?;
        }
        lists.close(true);
    }
    lists.finish(element)
}

/// The bounds of each list in its values.
fn range(list: &ListArray, row: usize) -> (usize, usize) {
    let offsets = list.value_offsets();
    let at = |index: usize| offsets.get(index).and_then(|offset| usize::try_from(*offset).ok()).unwrap_or(0);
    (at(row), at(row + 1))
}

fn subscript(args: &Columns<'_>) -> Result<ArrayRef> {
    let Some(list) = args.arrays[0].as_list_opt::<i32>() else { return Ok(new_null_array(args.result.data_type(), args.rows)) };
    let index = args.arrays[1].as_primitive::<datafusion::arrow::datatypes::Int32Type>();
    let first = i64::from(!is_vector(pg_type(&args.fields[0])));
    let data = list.values().to_data();
    let mut out = MutableArrayData::new(vec![&data], true, args.rows);
    for row in 0..args.rows {
        let (start, end) = range(list, row);
        let at = usize::try_from(i64::from(index.value(row)) - first).ok().map(|at| start + at).filter(|at| *at < end);
        match at {
            Some(at) if list.is_valid(row) && index.is_valid(row) => out.try_extend(0, at, at + 1)?,
            _ => out.try_extend_nulls(1)?,
        }
    }
    Ok(make_array(out.freeze()))
}

fn slice(args: &Columns<'_>) -> Result<ArrayRef> {
    let list = args.arrays[0].as_list::<i32>();
    let bound = |column: usize, row: usize| {
        let values = args.arrays[column].as_primitive::<datafusion::arrow::datatypes::Int32Type>();
        values.is_valid(row).then(|| i64::from(values.value(row)))
    };
    let data = list.values().to_data();
    let mut lists = Lists::new(vec![&data]);
    for row in 0..args.rows {
        let (start, end) = range(list, row);
        let size = length(end - start);
        match (bound(1, row), bound(2, row)) {
            (Some(from), Some(to)) if list.is_valid(row) => {
                let (from, to) = (from.clamp(1, size + 1), to.clamp(0, size));
                if from <= to {
                    let skip = usize::try_from(from - 1).unwrap_or(0);
                    lists.take(0, start + skip, start + usize::try_from(to).unwrap_or(0))?;
                }
                lists.close(true);
            }
            _ => lists.close(false),
        }
    }
    lists.finish(element_field(args.result))
}

fn cat(args: &Columns<'_>) -> Result<ArrayRef> {
    let element = element_field(args.result);
    let sides = args
        .arrays
        .iter()
        .map(|array| {
            let wanted = DataType::List(Arc::clone(&element));
            match array.data_type() {
                DataType::Null => Ok(new_null_array(&wanted, array.len())),
                _ => Ok(datafusion::arrow::compute::cast(array, &wanted)?),
            }
        })
        .collect::<Result<Vec<_>>>()?;
    let (left, right) = (sides[0].as_list::<i32>(), sides[1].as_list::<i32>());
    let data = [left.values().to_data(), right.values().to_data()];
    let mut lists = Lists::new(data.iter().collect());
    for row in 0..args.rows {
        for (source, list) in [left, right].into_iter().enumerate() {
            if list.is_valid(row) {
                let (start, end) = range(list, row);
                lists.take(source, start, end)?;
            }
        }
        lists.close(left.is_valid(row) || right.is_valid(row));
    }
    lists.finish(element)
}

/// `array_append` and `array_prepend`: which argument is the array, which the element.
fn push(args: &Columns<'_>, array: usize, element: usize) -> Result<ArrayRef> {
    let field = element_field(args.result);
    let wanted = DataType::List(Arc::clone(&field));
    let list = match args.arrays[array].data_type() {
        DataType::Null => new_null_array(&wanted, args.rows),
        _ => datafusion::arrow::compute::cast(&args.arrays[array], &wanted)?,
    };
    let list = list.as_list::<i32>();
    let added = match args.arrays[element].data_type() {
        DataType::Null => new_null_array(field.data_type(), args.rows),
        _ => datafusion::arrow::compute::cast(&args.arrays[element], field.data_type())?,
    };
    let data = [list.values().to_data(), added.to_data()];
    let mut lists = Lists::new(data.iter().collect());
    for row in 0..args.rows {
        if element < array {
            lists.take(1, row, row + 1)?;
        }
        if list.is_valid(row) {
            let (start, end) = range(list, row);
            lists.take(0, start, end)?;
        }
        if element > array {
            lists.take(1, row, row + 1)?;
        }
        lists.close(true);
    }
    lists.finish(field)
}

/// Whether values of two arrays of one type are equal; NULLs are equal to each other.
fn equality(left: &dyn Array, right: &dyn Array) -> Result<impl Fn(usize, usize) -> bool> {
    let compare = datafusion::arrow::array::make_comparator(left, right, SortOptions::default())?;
    Ok(move |a: usize, b: usize| compare(a, b).is_eq())
}

fn remove(args: &Columns<'_>) -> Result<ArrayRef> {
    let list = args.arrays[0].as_list::<i32>();
    let equal = equality(list.values(), &args.arrays[1])?;
    let data = list.values().to_data();
    let mut lists = Lists::new(vec![&data]);
    for row in 0..args.rows {
        let (start, end) = range(list, row);
        for at in start..end {
            if !equal(at, row) {
                lists.take(0, at, at + 1)?;
            }
        }
        lists.close(list.is_valid(row));
    }
    lists.finish(element_field(args.result))
}

fn replace(args: &Columns<'_>) -> Result<ArrayRef> {
    let list = args.arrays[0].as_list::<i32>();
    let equal = equality(list.values(), &args.arrays[1])?;
    let data = [list.values().to_data(), args.arrays[2].to_data()];
    let mut lists = Lists::new(data.iter().collect());
    for row in 0..args.rows {
        let (start, end) = range(list, row);
        for at in start..end {
            if equal(at, row) {
                lists.take(1, row, row + 1)?;
            } else {
                lists.take(0, at, at + 1)?;
            }
        }
        lists.close(list.is_valid(row));
    }
    lists.finish(element_field(args.result))
}

fn trim(args: &Columns<'_>) -> Result<ArrayRef> {
    let list = args.arrays[0].as_list::<i32>();
    let dropped = args.arrays[1].as_primitive::<datafusion::arrow::datatypes::Int32Type>();
    let data = list.values().to_data();
    let mut lists = Lists::new(vec![&data]);
    for row in 0..args.rows {
        let (start, end) = range(list, row);
        let keep = usize::try_from(dropped.value(row)).ok().and_then(|dropped| (end - start).checked_sub(dropped));
        match keep {
            _ if list.is_null(row) || dropped.is_null(row) => lists.close(false),
            Some(keep) => {
                lists.take(0, start, start + keep)?;
                lists.close(true);
            }
            None => {
                return Err(super::error::data(
                    lakegate_engine_api::DataError::ArraySubscript,
                    format_args!("number of elements to trim must be between 0 and {}", end - start),
                ));
            }
        }
    }
    lists.finish(element_field(args.result))
}

fn position(row: &Row<'_>, skip: i64) -> Result<Option<i64>> {
    let (Some(list), Some((wanted, index))) = (row.list(0), row.value(1)) else { return Ok(None) };
    if row.is_null(0) {
        return Ok(None);
    }
    let equal = equality(&list, wanted)?;
    let skip = usize::try_from(skip).unwrap_or(0);
    let found = (skip..list.len()).find(|at| if row.is_null(1) { list.is_null(*at) } else { list.is_valid(*at) && equal(*at, index) });
    Ok(found.map(|at| length(at) + lower(row)))
}

fn positions(args: &Columns<'_>) -> Result<ArrayRef> {
    let list = args.arrays[0].as_list::<i32>();
    let equal = equality(list.values(), &args.arrays[1])?;
    let mut builder =
        datafusion::arrow::array::ListBuilder::new(datafusion::arrow::array::Int32Builder::new()).with_field(element_field(args.result));
    for row in 0..args.rows {
        let (start, end) = range(list, row);
        for at in start..end {
            if equal(at, row) {
                builder.values().append_value(i32::try_from(at - start + 1).unwrap_or(i32::MAX));
            }
        }
        builder.append(list.is_valid(row));
    }
    Ok(Arc::new(builder.finish()))
}

/// `element op ANY (array)` and `op ALL`, by three-valued logic: NULL where a NULL could change the answer.
fn quantified(row: &Row<'_>, all: bool) -> Result<Option<bool>> {
    let (Some((wanted, index)), Some(list)) = (row.value(0), row.list(2)) else { return Ok(None) };
    if row.is_null(2) {
        return Ok(None);
    }
    if list.is_empty() {
        return Ok(Some(all));
    }
    if row.is_null(0) {
        return Ok(None);
    }
    let holds = comparison(row.text(1), wanted, &list)?;
    let mut unknown = false;
    for at in 0..list.len() {
        if list.is_null(at) {
            unknown = true;
        } else if holds(index, at)? != all {
            return Ok(Some(!all));
        }
    }
    Ok(if unknown { None } else { Some(all) })
}

type Comparison<'a> = Box<dyn Fn(usize, usize) -> Result<bool> + 'a>;

/// An operator over values of two arrays of one type.
fn comparison<'a>(operator: &str, left: &'a ArrayRef, right: &'a ArrayRef) -> Result<Comparison<'a>> {
    let ordered: Option<fn(std::cmp::Ordering) -> bool> = match operator {
        "=" => Some(std::cmp::Ordering::is_eq),
        "<>" | "!=" => Some(std::cmp::Ordering::is_ne),
        "<" => Some(std::cmp::Ordering::is_lt),
        "<=" => Some(std::cmp::Ordering::is_le),
        ">" => Some(std::cmp::Ordering::is_gt),
        ">=" => Some(std::cmp::Ordering::is_ge),
        _ => None,
    };
    if let Some(ordered) = ordered {
        let compare = datafusion::arrow::array::make_comparator(left, right, SortOptions::default())?;
        return Ok(Box::new(move |a, b| Ok(ordered(compare(a, b)))));
    }
    let flags = if operator.ends_with('*') { "i" } else { "" };
    let (negated, like) = match operator {
        "~" | "~*" => (false, false),
        "!~" | "!~*" => (true, false),
        "~~" | "~~*" => (false, true),
        "!~~" | "!~~*" => (true, true),
        other => return Err(unsupported(format_args!("{other} with ANY or ALL"))),
    };
    let (Some(texts), Some(patterns)) = (left.as_string_opt::<i32>(), right.as_string_opt::<i32>()) else {
        return Err(unsupported(format_args!("{operator} with ANY or ALL over {}", left.data_type())));
    };
    Ok(Box::new(move |a, b| {
        let pattern = if like { super::regex::of_like(patterns.value(b)) } else { patterns.value(b).to_owned() };
        Ok(super::regex::compiled(&pattern, flags)?.is_match(texts.value(a)) != negated)
    }))
}

/// `@>` and `&&`; NULL elements equal nothing.
fn contains(row: &Row<'_>, all: bool) -> Result<Option<bool>> {
    let (Some(whole), Some(part)) = (row.list(0), row.list(1)) else { return Ok(None) };
    let part = if part.data_type() == whole.data_type() { part } else { datafusion::arrow::compute::cast(&part, whole.data_type())? };
    let equal = equality(&whole, &part)?;
    let found = |wanted: usize| part.is_valid(wanted) && (0..whole.len()).any(|at| whole.is_valid(at) && equal(at, wanted));
    let mut wanted = 0..part.len();
    Ok(Some(if all { wanted.all(found) } else { wanted.any(found) }))
}

fn fill(args: &Columns<'_>) -> Result<ArrayRef> {
    let element = element_field(args.result);
    let data = args.arrays[0].to_data();
    let sizes = args.arrays[1].as_list::<i32>();
    let mut lists = Lists::new(vec![&data]);
    for row in 0..args.rows {
        if sizes.is_null(row) {
            return Err(super::error::data(
                lakegate_engine_api::DataError::NullNotAllowed,
                "dimension array or low bound array cannot be null",
            ));
        }
        let size = sizes.value(row);
        if size.len() > 1 {
            return Err(unsupported("arrays of more than one dimension"));
        }
        let size = size.as_primitive::<datafusion::arrow::datatypes::Int32Type>();
        for _ in 0..size.iter().flatten().next().unwrap_or(0) {
            if args.arrays[0].is_null(row) { lists.null_element()? } else { lists.take(0, row, row + 1)? }
        }
        lists.close(sizes.is_valid(row));
    }
    lists.finish(element)
}

fn joined(row: &Row<'_>, null: Option<&str>, session: &Session) -> Result<Option<String>> {
    let Some(list) = row.list(0) else { return Ok(None) };
    let element = PgType::element_of(row.pg_type(0).oid).map_or(PgType::UNKNOWN, PgType::plain);
    let element = if element == PgType::UNKNOWN { pg_type(&Field::new("", list.data_type().clone(), true)) } else { element };
    let mut out = String::new();
    let mut first = true;
    push_joined(&mut out, &mut first, &list, element, row.text(1), null, session)?;
    Ok(Some(out))
}

fn push_joined(
    out: &mut String,
    first: &mut bool,
    list: &ArrayRef,
    element: PgType,
    separator: &str,
    null: Option<&str>,
    session: &Session,
) -> Result<()> {
    for at in 0..list.len() {
        if let Some(inner) = list.as_list_opt::<i32>() {
            push_joined(out, first, &inner.value(at), element, separator, null, session)?;
            continue;
        }
        let missing = list.is_null(at);
        if missing && null.is_none() {
            continue;
        }
        if !*first {
            out.push_str(separator);
        }
        *first = false;
        match null {
            Some(null) if missing => out.push_str(null),
            _ => match list.as_boolean_opt() {
                Some(values) => out.push(if values.value(at) { 't' } else { 'f' }),
                None => value_out::push(out, list, at, element, &session.style)?,
            },
        }
    }
    Ok(())
}

/// -1, 0 or 1: which of two arrays comes first (`array_cmp`). NULL elements come after all others.
fn order(args: &Columns<'_>) -> Result<ArrayRef> {
    let [left, right] = args.arrays.as_slice() else { return internal_err!("two arrays are compared") };
    let right = if left.data_type() == right.data_type() { Arc::clone(right) } else { compute::cast(right, left.data_type())? };
    let options = SortOptions { descending: false, nulls_first: false };
    let compare = make_comparator(left, &right, options)?;
    let order = |at: usize| (!left.is_null(at) && !right.is_null(at)).then(|| compare(at, at) as i32);
    Ok(Arc::new((0..left.len()).map(order).collect::<Int32Array>()))
}
