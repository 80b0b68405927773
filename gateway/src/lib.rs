//! The gateway: protocol, sessions, SQL front end, routing.

pub mod frontend;
pub mod sql;
pub mod sqlstate;
