//! Authenticated encryption of single values: XChaCha20-Poly1305 with random 24-byte nonces, plaintext padded to size classes,
//! associated data that binds the value to its place.
//!
//! A sealed value is `version (1) | nonce (24) | ciphertext | tag (16)`.

use aws_lc_rs::rand;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::error::CatalogError;

pub(crate) const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
const FORMAT: u8 = 1;
/// Nothing larger is sealed; statements are bounded far below.
const PLAIN_BYTES_MAX: usize = 1 << 30;

pub(crate) type SecretKey = Zeroizing<[u8; KEY_BYTES]>;

/// Where a value belongs: a value moved to another row, column or role does not open.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) table: &'a str,
    pub(crate) column: &'a str,
    /// Statement or event id, or the object's OID.
    pub(crate) id: &'a str,
    pub(crate) role: u32,
    /// Microseconds since the epoch.
    pub(crate) time: i64,
    pub(crate) key_id: &'a str,
}

impl Place<'_> {
    /// Every part with its length ahead, so that no two places have the same bytes.
    fn associated_data(&self) -> Vec<u8> {
        let mut data = vec![FORMAT];
        let role = self.role.to_be_bytes();
        let time = self.time.to_be_bytes();
        let parts: [&[u8]; 6] = [self.table.as_bytes(), self.column.as_bytes(), self.id.as_bytes(), &role, &time, self.key_id.as_bytes()];
        for part in parts {
            data.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            data.extend_from_slice(part);
        }
        data
    }
}

/// # Errors
/// [`CatalogError::Internal`] where the system gives no random bytes or the value is too large.
pub(crate) fn seal(key: &SecretKey, place: &Place<'_>, plain: &[u8]) -> Result<Vec<u8>, CatalogError> {
    let padded = padded(plain)?;
    let mut nonce = [0_u8; NONCE_BYTES];
    rand::fill(&mut nonce).map_err(|_| CatalogError::internal("no random bytes"))?;
    let sealed = cipher(key)
        .encrypt(&XNonce::from(nonce), Payload { msg: &padded, aad: &place.associated_data() })
        .map_err(|_| CatalogError::internal("could not seal a value"))?;
    let mut out = Vec::with_capacity(1 + NONCE_BYTES + sealed.len());
    out.push(FORMAT);
    out.extend_from_slice(&nonce);
    out.extend_from_slice(&sealed);
    Ok(out)
}

/// # Errors
/// [`CatalogError::Corrupted`]: another key, another place, or changed bytes.
pub(crate) fn open(key: &SecretKey, place: &Place<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, CatalogError> {
    let damaged = || CatalogError::corrupted(format!("a sealed value of {}.{} does not open", place.table, place.column));
    let (format, rest) = sealed.split_first().ok_or_else(damaged)?;
    let (nonce, body) = rest.split_first_chunk::<NONCE_BYTES>().ok_or_else(damaged)?;
    if *format != FORMAT {
        return Err(damaged());
    }
    let mut padded = Zeroizing::new(
        cipher(key).decrypt(&XNonce::from(*nonce), Payload { msg: body, aad: &place.associated_data() }).map_err(|_| damaged())?,
    );
    let length = padded.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes)).ok_or_else(damaged)?;
    let end = usize::try_from(length).ok().and_then(|length| length.checked_add(4)).filter(|end| *end <= padded.len());
    padded.truncate(end.ok_or_else(damaged)?);
    padded.drain(..4);
    Ok(padded)
}

/// # Errors
/// [`CatalogError::Internal`] where the system gives no random bytes.
pub(crate) fn random_key() -> Result<SecretKey, CatalogError> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    rand::fill(&mut key[..]).map_err(|_| CatalogError::internal("no random bytes"))?;
    Ok(key)
}

fn cipher(key: &SecretKey) -> XChaCha20Poly1305 {
    let key: &Key = (&**key).into();
    XChaCha20Poly1305::new(key)
}

/// Length (4 bytes, little endian), value, zeros up to the size class.
fn padded(plain: &[u8]) -> Result<Zeroizing<Vec<u8>>, CatalogError> {
    if plain.len() > PLAIN_BYTES_MAX {
        return Err(CatalogError::internal("a value is too large to be sealed"));
    }
    let length = u32::try_from(plain.len()).map_err(CatalogError::internal)?;
    let size = size_class(plain.len() + 4);
    let mut out = Zeroizing::new(Vec::with_capacity(size));
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(plain);
    out.resize(size, 0);
    Ok(out)
}

/// 64 bytes, then eight classes to a doubling: a length tells about 12.5 % at most.
fn size_class(bytes: usize) -> usize {
    if bytes <= 64 {
        return 64;
    }
    let step = (bytes.next_power_of_two() / 16).max(8);
    bytes.div_ceil(step) * step
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'static> = Place { table: "statements", column: "sealed", id: "a", role: 10, time: 5, key_id: "k" };

    #[test]
    fn opens_only_at_its_place() {
        let key = random_key().unwrap();
        let sealed = seal(&key, &PLACE, b"select 1").unwrap();
        assert_eq!(&open(&key, &PLACE, &sealed).unwrap()[..], b"select 1");
        let others = [
            Place { table: "audit", ..PLACE },
            Place { column: "other", ..PLACE },
            Place { id: "b", ..PLACE },
            Place { role: 11, ..PLACE },
            Place { time: 6, ..PLACE },
            Place { key_id: "l", ..PLACE },
        ];
        for other in others {
            assert!(open(&key, &other, &sealed).is_err(), "{other:?}");
        }
        assert!(open(&random_key().unwrap(), &PLACE, &sealed).is_err());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(open(&key, &PLACE, &changed).is_err(), "byte {at}");
        }
        for end in 0..sealed.len() {
            assert!(open(&key, &PLACE, &sealed[..end]).is_err(), "{end} bytes");
        }
    }

    #[test]
    fn places_do_not_run_together() {
        let one = Place { table: "ab", column: "c", ..PLACE };
        let other = Place { table: "a", column: "bc", ..PLACE };
        assert_ne!(one.associated_data(), other.associated_data());
    }

    #[test]
    fn size_classes_hide_the_length() {
        assert_eq!((size_class(5), size_class(64), size_class(65), size_class(72), size_class(73)), (64, 64, 72, 72, 80));
        for bytes in 65..5_000 {
            let class = size_class(bytes);
            assert!(class >= bytes && class - bytes <= bytes / 8 + 8, "{bytes} in {class}");
        }
        let key = random_key().unwrap();
        let (short, long) = (seal(&key, &PLACE, b"").unwrap(), seal(&key, &PLACE, &[7; 60]).unwrap());
        assert_eq!(short.len(), long.len());
    }

    #[test]
    fn large_values_round_trip() {
        let key = random_key().unwrap();
        let value: Vec<u8> = (0..300_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let sealed = seal(&key, &PLACE, &value).unwrap();
        assert_eq!(open(&key, &PLACE, &sealed).unwrap().to_vec(), value);
    }
}
