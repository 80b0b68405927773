//! The engine through its contract, on real tables in temporary folders.

mod golden;
mod queries;
mod support;
mod transactions;
mod writes;
