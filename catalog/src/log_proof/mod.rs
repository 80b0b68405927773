//! Proof that the logs are whole: every record is linked to the one before it in its writer's chain, and the heads of the chains are
//! signed (ed25519) at least every minute and at the end. [`verify`] finds what was altered, removed, moved or cut off, from a copy of the
//! catalog and the public key alone; [`inclusion`] proves a single record to somebody who has nothing else.
//! Format and reasons: docs/decisions/0008-log-chains.md.

pub(crate) mod chain;
pub(crate) mod head;
pub mod inclusion;
mod merkle;
pub(crate) mod record;
pub mod verify;

pub use chain::Tip;
pub use head::{Head, is_signed};
pub use merkle::Hash;
pub use record::RecordKind;

/// Lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
