//! Values in PostgreSQL's text and binary formats into Arrow columns: bound parameters and the rows of COPY.
//!
//! [`ColumnBuilder`] parses by the PostgreSQL type of a field ([`value`], [`binary`]) and stores by its Arrow type ([`sink`]).

pub mod array;
pub mod binary;
pub mod datetime;
mod datetime_fields;
pub mod interval;
pub mod json;
pub mod numeric;
pub mod scalar;
mod sink;
pub mod uuid;
mod value;
mod zone;

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::Field;
use chrono::{DateTime, Utc};
use lakegate_catalog::model::PgType;
use lakegate_engine_api::CatalogLookup;

use self::sink::Sink;
use crate::frontend::TextStyle;
use crate::sqlstate::SqlError;

pub use self::binary::Consumed;
pub use self::zone::zone_by_name;

/// What values are read by, besides their text.
#[derive(Clone)]
pub struct InputManner {
    pub style: Arc<TextStyle>,
    /// OIDs behind names, for `regclass` and its kin.
    pub names: Option<Arc<dyn CatalogLookup>>,
    /// What `now` and `today` mean.
    pub now: DateTime<Utc>,
}

/// One column on its way in.
///
/// After an error a column of arrays may hold part of the value: the builder is to be dropped.
pub struct ColumnBuilder {
    pg: PgType,
    sink: Sink,
    manner: InputManner,
}

impl ColumnBuilder {
    /// # Errors
    /// 0A000 where values of the field's types cannot be read.
    pub fn new(field: &Field, manner: &InputManner) -> Result<ColumnBuilder, SqlError> {
        let pg = lakegate_engine_api::pg_type(field);
        Ok(ColumnBuilder { pg, sink: Sink::new(field)?, manner: manner.clone() })
    }

    /// A value in the type's text format.
    ///
    /// # Errors
    /// As the type's input function: 22P02, 22003, 22007, 22008, 22001 …
    pub fn append_text(&mut self, text: &str) -> Result<(), SqlError> {
        let value = value::parse(self.pg, text, &self.manner)?;
        self.sink.append(value, self.pg)
    }

    /// A value in the type's binary format. When not all bytes are used the caller reports 22P03; the value is not kept.
    ///
    /// # Errors
    /// As the type's receive function: 08P01, 22P03, 22021, 22008 …
    pub fn append_binary(&mut self, bytes: &[u8]) -> Result<Consumed, SqlError> {
        let (value, consumed) = binary::read(self.pg, bytes)?;
        if consumed == Consumed::All {
            self.sink.append(value, self.pg)?;
        }
        Ok(consumed)
    }

    pub fn append_null(&mut self) {
        self.sink.append_null();
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.sink.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The column so far; the builder starts again empty.
    pub fn finish(&mut self) -> ArrayRef {
        self.sink.finish()
    }
}

#[cfg(test)]
pub(crate) mod tests;

#[cfg(test)]
mod fuzz;
