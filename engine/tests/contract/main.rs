//! The engine through its contract, on real tables in temporary folders.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failing step of a test fails the test")]

mod golden;
mod queries;
mod support;
mod together;
mod transactions;
mod transport;
mod writes;
