//! Advisory locks (documentation, section 9.27.10). The session keeps them; these functions ask it.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::async_udf::{AsyncScalarUDF, AsyncScalarUDFImpl};
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use futures::FutureExt;
use lakegate_engine_api::{AdvisoryKey, AdvisoryRequest};

use super::call::Row;
use super::error::external;
use super::function::{Body, PgFunction};
use super::session::Session;
use super::types::Ty;

/// The functions that wait, as the planner calls them: their arguments are cast where they are called.
pub const WAITING: [&str; 4] = ["pg_advisory_lock", "pg_advisory_lock_shared", "pg_advisory_xact_lock", "pg_advisory_xact_lock_shared"];

pub fn session_functions(session: &Arc<Session>) -> Vec<Arc<ScalarUDF>> {
    let mut all = Vec::new();
    for name in WAITING {
        all.push(Arc::new(AsyncScalarUDF::new(Arc::new(Waiting::new(name, session))).into_scalar_udf()));
    }
    for (name, shared, transaction) in [
        ("pg_try_advisory_lock", false, false),
        ("pg_try_advisory_lock_shared", true, false),
        ("pg_try_advisory_xact_lock", false, true),
        ("pg_try_advisory_xact_lock_shared", true, true),
    ] {
        let taken = move |key: AdvisoryKey, session: &Session| {
            let request = AdvisoryRequest { key, shared, transaction, wait: false };
            // What does not wait is known at once.
            session.lookup().take_advisory_lock(request).now_or_never().unwrap_or(Ok(false)).map_err(external)
        };
        all.push(of_key(name, session, taken));
    }
    for (name, shared) in [("pg_advisory_unlock", false), ("pg_advisory_unlock_shared", true)] {
        all.push(of_key(name, session, move |key, session: &Session| Ok(session.lookup().release_advisory_lock(key, shared))));
    }
    let owner = Arc::clone(session);
    let unlock_all = Body::Text(Box::new(move |_: &Row<'_>| {
        owner.lookup().release_advisory_locks();
        Ok(Some(String::new()))
    }));
    all.push(PgFunction::volatile("pg_advisory_unlock_all").of_session(session.identity()).on(&[], Ty::VOID, unlock_all).build());
    all
}

/// A function of one number or two.
fn of_key(
    name: &'static str,
    session: &Arc<Session>,
    answer: impl Fn(AdvisoryKey, &Session) -> Result<bool> + Clone + Send + Sync + 'static,
) -> Arc<ScalarUDF> {
    let body = |key: fn(&Row<'_>) -> AdvisoryKey| {
        let (session, answer) = (Arc::clone(session), answer.clone());
        Body::Bool(Box::new(move |row: &Row<'_>| answer(key(row), &session).map(Some)))
    };
    let whole = body(|row: &Row<'_>| AdvisoryKey::Whole(row.int(0)));
    let halves = body(|row: &Row<'_>| AdvisoryKey::Halves(half(row.int(0)), half(row.int(1))));
    PgFunction::volatile(name)
        .of_session(session.identity())
        .on(&[Ty::INT8], Ty::BOOL, whole)
        .on(&[Ty::INT4, Ty::INT4], Ty::BOOL, halves)
        .build()
}

fn half(value: i64) -> i32 {
    // An int4 argument.
    i32::try_from(value).unwrap_or_default()
}

/// `pg_advisory_lock` and its kin, once for each row.
struct Waiting {
    name: &'static str,
    session: Arc<Session>,
    signature: Signature,
}

impl Waiting {
    fn new(name: &'static str, session: &Arc<Session>) -> Self {
        Waiting { name, session: Arc::clone(session), signature: Signature::variadic_any(Volatility::Volatile) }
    }
}

impl ScalarUDFImpl for Waiting {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(Ty::VOID.field(self.name)?))
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        internal_err!("locks are waited for asynchronously")
    }
}

#[async_trait]
impl AsyncScalarUDFImpl for Waiting {
    async fn invoke_async_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let number = |arg: &ColumnarValue| -> Result<ArrayRef> { Ok(cast(&arg.to_array(args.number_rows)?, &DataType::Int64)?) };
        let numbers = args.args.iter().map(number).collect::<Result<Vec<_>>>()?;
        let mut taken: Vec<Option<&str>> = Vec::with_capacity(args.number_rows);
        for row in 0..args.number_rows {
            if numbers.iter().any(|numbers| numbers.is_null(row)) {
                taken.push(None);
                continue;
            }
            let value = |numbers: &ArrayRef| numbers.as_primitive::<Int64Type>().value(row);
            let key = match numbers.as_slice() {
                [whole] => AdvisoryKey::Whole(value(whole)),
                [first, second] => AdvisoryKey::Halves(half(value(first)), half(value(second))),
                _ => return internal_err!("a lock has one number or two"),
            };
            let (shared, transaction) = (self.name.ends_with("_shared"), self.name.contains("_xact_"));
            self.session.lookup().take_advisory_lock(AdvisoryRequest { key, shared, transaction, wait: true }).await.map_err(external)?;
            taken.push(Some(""));
        }
        Ok(ColumnarValue::Array(Arc::new(StringArray::from(taken))))
    }
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.session, &other.session)
    }
}

impl Eq for Waiting {}

impl Hash for Waiting {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}
