//! Identifiers of people as they are found in bytes: plain, and in the encodings that files and logs have them in.

use std::collections::HashSet;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::error::CatalogError;

/// Characters of an identifier below which bytes that look like it are no evidence.
const LENGTH_MIN: usize = 6;
/// The same for digits alone, which are everywhere.
const DIGITS_MIN: usize = 11;
/// Statistics of tables cut texts off after so many characters.
const STATISTICS_PREFIX: usize = 32;

/// Of all spellings together: up to it the search is a table of some hundred bytes for each of these; above, what is slower and needs less.
const TABLE_BYTES_MAX: usize = 64 << 10;

/// What is looked for. Letters' case does not matter (ASCII).
#[derive(Clone)]
pub struct Needles {
    search: Option<Arc<AhoCorasick>>,
    encodings: Arc<[&'static str]>,
    identifiers: Arc<[String]>,
    searched: usize,
}

/// The identifiers: on their way to an engine in another process, which looks for them, and never to a disk.
impl Serialize for Needles {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.identifiers.as_ref().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Needles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Needles, D::Error> {
        let identifiers = Vec::<String>::deserialize(deserializer)?;
        Needles::new(identifiers.iter().map(String::as_str)).map_err(serde::de::Error::custom)
    }
}

/// What is looked for is not for logs.
impl std::fmt::Debug for Needles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Needles({} of {})", self.searched, self.identifiers.len())
    }
}

/// Whether the identifier is long enough to be told from chance among bytes. Others are looked for as values of columns alone.
#[must_use]
pub fn is_searchable(identifier: &str) -> bool {
    let length = identifier.chars().count();
    let digits = identifier.chars().all(|c| c.is_ascii_digit());
    if digits { length >= DIGITS_MIN } else { length >= LENGTH_MIN }
}

impl Needles {
    /// # Errors
    /// [`CatalogError::Internal`] for more than can be searched at once.
    pub fn new<'a>(identifiers: impl IntoIterator<Item = &'a str>) -> Result<Needles, CatalogError> {
        let (mut patterns, mut encodings): (Vec<Vec<u8>>, Vec<&'static str>) = (Vec::new(), Vec::new());
        let identifiers: Arc<[String]> = identifiers.into_iter().map(str::to_owned).collect();
        let (mut searched, mut known) = (0, HashSet::new());
        for identifier in identifiers.iter() {
            if !is_searchable(identifier) {
                continue;
            }
            searched += 1;
            for (encoding, bytes) in encoded(identifier) {
                if bytes.len() >= LENGTH_MIN && known.insert(bytes.clone()) {
                    patterns.push(bytes);
                    encodings.push(encoding);
                }
            }
        }
        let bytes: usize = patterns.iter().map(Vec::len).sum();
        let kind = if bytes > TABLE_BYTES_MAX { AhoCorasickKind::ContiguousNFA } else { AhoCorasickKind::DFA };
        let search = match patterns.is_empty() {
            true => None,
            false => Some(Arc::new(
                AhoCorasickBuilder::new()
                    .ascii_case_insensitive(true)
                    .match_kind(MatchKind::LeftmostFirst)
                    .kind(Some(kind))
                    .build(&patterns)
                    .map_err(CatalogError::internal)?,
            )),
        };
        Ok(Needles { search, encodings: encodings.into(), identifiers, searched })
    }

    /// Identifiers, and how many of them are looked for in bytes.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.identifiers.len(), self.searched)
    }

    /// The encoding of the first identifier in the bytes.
    #[must_use]
    pub fn find(&self, bytes: &[u8]) -> Option<&'static str> {
        let found = self.search.as_ref()?.find(bytes)?;
        self.encodings.get(found.pattern().as_usize()).copied()
    }
}

fn encoded(identifier: &str) -> Vec<(&'static str, Vec<u8>)> {
    let mut found = vec![("text", identifier.as_bytes().to_vec())];
    if identifier.chars().count() > STATISTICS_PREFIX {
        found.push(("start of the text", identifier.chars().take(STATISTICS_PREFIX).collect::<String>().into_bytes()));
    }
    let escaped = json_escaped(identifier, false);
    found.push(("text in JSON in JSON", json_escaped(&escaped, false).into_bytes()));
    found.push(("text in JSON", escaped.into_bytes()));
    let ascii = json_escaped(identifier, true);
    found.push(("text in JSON in JSON", json_escaped(&ascii, true).into_bytes()));
    found.push(("text in JSON", ascii.into_bytes()));
    let once = percent_encoded(identifier.as_bytes());
    found.push(("URL", percent_encoded(once.as_bytes()).into_bytes()));
    found.push(("URL", once.into_bytes()));
    found.push(("UTF-16", identifier.encode_utf16().flat_map(u16::to_le_bytes).collect()));
    found.push(("UTF-16", identifier.encode_utf16().flat_map(u16::to_be_bytes).collect()));
    found.push(("hexadecimal", identifier.bytes().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()));
    found.extend((0..3).filter_map(|shift| base64_inside(identifier.as_bytes(), shift)).map(|text| ("base64", text)));
    if let Ok(id) = Uuid::parse_str(identifier) {
        found.push(("uuid", id.as_bytes().to_vec()));
        found.push(("uuid", id.simple().to_string().into_bytes()));
        found.push(("uuid", id.hyphenated().to_string().into_bytes()));
    }
    found
}

/// Without the quotes; `ascii`: other letters as escapes.
fn json_escaped(text: &str, ascii: bool) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    let inside = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    if !ascii {
        return inside.to_owned();
    }
    let mut out = String::new();
    for letter in inside.chars() {
        match letter.is_ascii() {
            true => out.push(letter),
            false => letter.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
        }
    }
    out
}

fn percent_encoded(bytes: &[u8]) -> String {
    let mut out = String::new();
    for byte in bytes {
        match byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            true => out.push(char::from(*byte)),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// What of the bytes' base64 does not depend on what stands around them, where they begin at `shift` within three.
fn base64_inside(bytes: &[u8], shift: usize) -> Option<Vec<u8>> {
    let padded: Vec<u8> = std::iter::repeat_n(0, shift).chain(bytes.iter().copied()).collect();
    let whole = padded.len() / 3 * 3;
    let text = STANDARD_NO_PAD.encode(padded.get(..whole)?);
    let start = if shift == 0 { 0 } else { 4 };
    text.as_bytes().get(start..).filter(|text| text.len() >= 8).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding_is_found() {
        let needles = Needles::new(["Zoë.Müller@example.com", "42"]).unwrap();
        assert_eq!(needles.counts(), (2, 1));
        let text = "Zoë.Müller@example.com";
        assert_eq!(needles.find(format!("x{text}y").as_bytes()), Some("text"));
        assert_eq!(needles.find("ZOë.MüLLER@EXAMPLE.COM".as_bytes()), Some("text"));
        assert_eq!(needles.find(b"a%5azo%C3%ABx Zo%C3%AB.M%C3%BCller%40example.com"), Some("URL"));
        assert_eq!(needles.find(b"Zo%25C3%25AB.M%25C3%25BCller%2540example.com"), Some("URL"));
        assert_eq!(needles.find(br#"{"a":"Zo\u00eb.M\u00fcller@example.com"}"#), Some("text in JSON"));
        assert_eq!(needles.find(br#""{\"a\":\"Zo\\u00eb.M\\u00fcller@example.com\"}""#), Some("text in JSON in JSON"));
        let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(needles.find(&wide), Some("UTF-16"));
        for before in ["", "a", "ab", "abc"] {
            let encoded = STANDARD_NO_PAD.encode(format!("{before}{text} and more"));
            assert_eq!(needles.find(encoded.as_bytes()), Some("base64"), "{before}");
        }
        assert_eq!(needles.find(b"42 zoe.mueller@example.com"), None);
    }

    #[test]
    fn short_ones_and_digits_prove_nothing() {
        for identifier in ["42", "abc", "1234567890"] {
            assert!(!is_searchable(identifier), "{identifier}");
        }
        for identifier in ["ann@x.org", "12345678901", "6f1c2a52-7c1e-4c88-9a38-0d6d8f3c2b11", "C-1001"] {
            assert!(is_searchable(identifier), "{identifier}");
        }
    }

    #[test]
    fn uuids_are_found_as_bytes() {
        let id = Uuid::new_v4();
        let needles = Needles::new([id.to_string().as_str()]).unwrap();
        assert_eq!(needles.find(id.as_bytes()), Some("uuid"));
        assert_eq!(needles.find(id.simple().to_string().as_bytes()), Some("uuid"));
    }
}
