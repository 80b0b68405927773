//! The engine's contract through a connection: the tests of `contract/` once more, and what a connection can do beside.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failing step of a test fails the test")]

mod connection;
mod faults;
#[path = "../contract/golden.rs"]
mod golden;
mod lookup;
mod proxy;
#[path = "../contract/queries.rs"]
mod queries;
#[path = "../contract/support.rs"]
mod support;
#[path = "../contract/together.rs"]
mod together;
#[path = "../contract/transactions.rs"]
mod transactions;
mod transport;
#[path = "../contract/writes.rs"]
mod writes;
