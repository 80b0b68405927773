//! PostgreSQL's text forms of values: what its input functions read and its output functions write.

pub mod array;
pub mod civil;
pub mod datetime_in;
pub mod datetime_out;
pub mod interval;
pub mod json;
pub mod number;
pub mod scalar;
pub mod style;
pub mod value_in;
pub mod value_out;
pub mod zone;
