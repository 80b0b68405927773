//! The gateway: protocol, sessions, SQL front end, routing.

pub mod frontend;
pub mod sqlstate;
