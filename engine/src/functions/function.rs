//! A function as PostgreSQL has them: a name, several call shapes ([`Overload`]), each with its argument types, result
//! type and body. PostgreSQL's resolution rules pick the shape (documentation, section 10.3).

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use lakegate_engine_api::catalog::PgType;
use lakegate_engine_api::{PG_TYPE_KEY, SqlMistake, arrow_field, pg_type};

use super::bounds::any_of_its_type;
use super::call::{Row, Rows};
use super::error;
use super::types::{Ty, describe};

/// Computes one row. `None` is NULL.
type RowBody<T> = Box<dyn Fn(&Row<'_>) -> Result<Option<T>> + Send + Sync>;

/// What a function does; the variant fixes the kind of value it makes, the overload's result type the exact one.
pub enum Body {
    Bool(RowBody<bool>),
    /// Integers, OIDs, dates (days), times and timestamps (microseconds).
    Int(RowBody<i64>),
    Float(RowBody<f64>),
    Text(RowBody<String>),
    Bytes(RowBody<Vec<u8>>),
    Interval(RowBody<datafusion::arrow::datatypes::IntervalMonthDayNano>),
    Texts(RowBody<Vec<Option<String>>>),
    /// Whole columns: arrays of equal length, or of length 1 where all arguments are constants.
    Columns(ColumnsBody),
}

/// The body of [`Body::Columns`].
type ColumnsBody = Box<dyn Fn(&Columns<'_>) -> Result<ArrayRef> + Send + Sync>;

/// Arguments of [`Body::Columns`].
pub struct Columns<'a> {
    pub arrays: Vec<ArrayRef>,
    pub fields: &'a [FieldRef],
    pub rows: usize,
    pub result: &'a FieldRef,
}

/// Result type of a call.
pub enum Returns {
    Is(Ty),
    /// The type of an argument.
    Same(usize),
    /// The element type of an array argument.
    Element(usize),
    /// From the argument fields and constants.
    By(fn(&ReturnFieldArgs<'_>) -> Result<Field>),
}

impl From<Ty> for Returns {
    fn from(ty: Ty) -> Self {
        Returns::Is(ty)
    }
}

pub struct Overload {
    pub args: Vec<Ty>,
    /// The last argument may repeat, or be absent.
    pub variadic: bool,
    pub returns: Returns,
    /// NULL as soon as one argument is NULL, without running the body.
    pub strict: bool,
    pub body: Body,
}

/// A scalar function with PostgreSQL's overloads.
pub struct PgFunction {
    name: &'static str,
    aliases: Vec<String>,
    signature: Signature,
    overloads: Vec<Overload>,
    /// Tells functions of two sessions apart; 0 for those that hold no session.
    session: usize,
}

impl PgFunction {
    /// Same result for the same arguments, always.
    #[must_use]
    pub fn immutable(name: &'static str) -> Self {
        Self::new(name, Volatility::Immutable)
    }

    /// Same result within a statement: depends on session settings or the catalog.
    #[must_use]
    pub fn stable(name: &'static str) -> Self {
        Self::new(name, Volatility::Stable)
    }

    #[must_use]
    pub fn volatile(name: &'static str) -> Self {
        Self::new(name, Volatility::Volatile)
    }

    #[must_use]
    pub fn new(name: &'static str, volatility: Volatility) -> Self {
        PgFunction { name, aliases: Vec::new(), signature: Signature::user_defined(volatility), overloads: Vec::new(), session: 0 }
    }

    #[must_use]
    pub fn alias(mut self, alias: &str) -> Self {
        self.aliases.push(alias.to_owned());
        self
    }

    /// Marks it as holding a session, known by an address.
    #[must_use]
    pub fn of_session(mut self, session: usize) -> Self {
        self.session = session;
        self
    }

    /// A strict call shape.
    #[must_use]
    pub fn on(self, args: &[Ty], returns: impl Into<Returns>, body: Body) -> Self {
        self.with(args, false, returns, true, body)
    }

    /// A call shape whose body sees NULL arguments.
    #[must_use]
    pub fn on_nullable(self, args: &[Ty], returns: impl Into<Returns>, body: Body) -> Self {
        self.with(args, false, returns, false, body)
    }

    /// A call shape whose last argument may repeat or be absent; the body sees NULLs.
    #[must_use]
    pub fn variadic(self, args: &[Ty], returns: impl Into<Returns>, body: Body) -> Self {
        self.with(args, true, returns, false, body)
    }

    fn with(mut self, args: &[Ty], variadic: bool, returns: impl Into<Returns>, strict: bool, body: Body) -> Self {
        self.overloads.push(Overload { args: args.to_vec(), variadic, returns: returns.into(), strict, body });
        self
    }

    #[must_use]
    pub fn build(self) -> Arc<ScalarUDF> {
        Arc::new(ScalarUDF::new_from_impl(self))
    }

    /// The call shape for argument types, as `func_select_candidate` picks it: least conversion first.
    fn resolve(&self, types: &[DataType]) -> Result<(&Overload, Vec<Ty>)> {
        let mut best: Option<(u32, &Overload, Vec<Ty>)> = None;
        for overload in &self.overloads {
            let Some(formal) = overload.formal_arguments(types.len()) else { continue };
            let cost = types.iter().zip(&formal).try_fold(0, |sum, (from, to)| to.cost_from(from).map(|cost| sum + cost));
            let Some(cost) = cost else { continue };
            if best.as_ref().is_none_or(|(least, ..)| cost < *least) {
                best = Some((cost, overload, formal));
            }
        }
        best.map(|(_, overload, formal)| (overload, formal)).ok_or_else(|| self.undefined(types))
    }

    fn undefined(&self, types: &[DataType]) -> datafusion::error::DataFusionError {
        let types: Vec<String> = types.iter().map(describe).collect();
        error::mistake_hint(
            SqlMistake::UndefinedFunction,
            format_args!("function {}({}) does not exist", self.name, types.join(", ")),
            "No function matches the given name and argument types. You might need to add explicit type casts.",
        )
    }
}

impl Overload {
    fn formal_arguments(&self, count: usize) -> Option<Vec<Ty>> {
        if !self.variadic {
            return (self.args.len() == count).then(|| self.args.clone());
        }
        let (last, fixed) = self.args.split_last()?;
        let repeated = count.checked_sub(fixed.len())?;
        Some(fixed.iter().cloned().chain(std::iter::repeat_n(last.clone(), repeated)).collect())
    }

    /// `volatile`: once a row, whatever the arguments.
    fn evaluate(&self, args: &ScalarFunctionArgs, volatile: bool) -> Result<ArrayRef> {
        let constant = !volatile && !args.args.is_empty() && args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        match &self.body {
            Body::Columns(body) => {
                let arrays = args.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<Vec<_>>>()?;
                let columns = Columns { arrays, fields: &args.arg_fields, rows, result: &args.return_field };
                body(&columns)
            }
            body => Rows::new(&args.args, &args.arg_fields, rows, self.strict)?.run(body, args.return_field.data_type()),
        }
    }
}

impl ScalarUDFImpl for PgFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let fields: Vec<FieldRef> = types.iter().map(|data_type| Arc::new(Field::new("", data_type.clone(), true))).collect();
        let constants = vec![None; types.len()];
        let field = self.return_field_from_args(ReturnFieldArgs { arg_fields: &fields, scalar_arguments: &constants })?;
        Ok(field.data_type().clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let (overload, _) = self.resolve(&types)?;
        let field = match &overload.returns {
            Returns::Is(ty) => ty.field(self.name)?,
            Returns::Same(at) => args.arg_fields.get(*at).map(|field| field.as_ref().clone()).unwrap_or_else(|| null_field(self.name)),
            Returns::Element(at) => match args.arg_fields.get(*at).map(|field| (field, field.data_type())) {
                Some((list, DataType::List(element))) => own_element(list, element),
                _ => null_field(self.name),
            },
            Returns::By(choose) => choose(&args)?,
        };
        Ok(Arc::new(field.with_name(self.name).with_nullable(true)))
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let (_, formal) = self.resolve(types)?;
        let element = types.iter().zip(&formal).find_map(|(from, to)| match (from, to) {
            (DataType::List(field), Ty::AnyArray) => Some(super::types::canonical(field.data_type())),
            _ => None,
        });
        types
            .iter()
            .zip(formal)
            .map(|(from, to)| match (&to, &element) {
                (Ty::Element, Some(element)) => Ok(element.clone()),
                (Ty::AnyArray, _) if *from == DataType::Null => Ok(DataType::Null),
                _ => to.coerce_from(from),
            })
            .collect()
    }

    fn evaluate_bounds(&self, inputs: &[&Interval]) -> Result<Interval> {
        any_of_its_type(self, inputs)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let (overload, _) = self.resolve(&types)?;
        let result = overload.evaluate(&args, self.signature.volatility == Volatility::Volatile)?;
        let constant = !args.args.is_empty() && args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let volatile = self.signature.volatility == Volatility::Volatile;
        if constant && !volatile && result.len() == 1 {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?));
        }
        if constant && result.len() == 1 && args.number_rows != 1 {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?));
        }
        Ok(ColumnarValue::Array(result))
    }
}

/// An element of a list; what the list says of itself counts before what its elements' field says.
fn own_element(list: &Field, element: &Field) -> Field {
    let said = list.metadata().get(PG_TYPE_KEY).and_then(|_| PgType::element_of(pg_type(list).oid));
    match said.and_then(|oid| arrow_field(element.name(), PgType::plain(oid), true)) {
        Some(field) if field.data_type() == element.data_type() => field,
        _ => element.clone(),
    }
}

fn null_field(name: &str) -> Field {
    Field::new(name, DataType::Null, true)
}

impl fmt::Debug for PgFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgFunction").field("name", &self.name).finish_non_exhaustive()
    }
}

impl PartialEq for PgFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.session == other.session
    }
}

impl Eq for PgFunction {}

impl Hash for PgFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
        self.session.hash(state);
    }
}
