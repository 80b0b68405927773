//! The fields of a date and time: what `ParseDateTime` cuts a text into, and the words among them.

use super::datetime::Fault;
use super::scalar::is_blank;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// Digits, perhaps with a fraction.
    Number(String),
    /// With colons.
    Time(String),
    /// Fields joined by `-`, `/` or `.`, or a zone's full name.
    Date(String),
    Word(String),
    /// A sign and digits.
    Offset(String),
    /// A sign and letters: `-infinity`.
    SignedWord(String),
}

/// Cuts the text into fields; everything in lower case.
pub fn fields(text: &str) -> Result<Vec<Field>, Fault> {
    const FIELDS_MAX: usize = 25;
    let lower = text.to_ascii_lowercase();
    let mut rest = lower.as_bytes();
    let mut found = Vec::new();
    while let Some(&first) = rest.first() {
        if is_blank(first) {
            rest = rest.get(1..).unwrap_or_default();
            continue;
        }
        if found.len() == FIELDS_MAX {
            return Err(Fault::Format);
        }
        let (field, length) = match first {
            b'0'..=b'9' => digits_first(rest),
            b'.' => {
                let length = 1 + count(rest.get(1..).unwrap_or_default(), u8::is_ascii_digit);
                (Field::Number(string(rest, length)), length)
            }
            b'a'..=b'z' => letters_first(rest),
            b'+' | b'-' => {
                let blanks = 1 + count(rest.get(1..).unwrap_or_default(), |byte| is_blank(*byte));
                let tail = rest.get(blanks..).unwrap_or_default();
                let (length, is_offset) = match tail.first() {
                    Some(b'0'..=b'9') => (count(tail, |byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.' | b'-')), true),
                    Some(b'a'..=b'z') => (count(tail, u8::is_ascii_lowercase), false),
                    _ => return Err(Fault::Format),
                };
                let text = format!("{}{}", char::from(first), string(tail, length));
                (if is_offset { Field::Offset(text) } else { Field::SignedWord(text) }, blanks + length)
            }
            // Other punctuation parts fields, as in "Jan 8, 1999".
            byte if byte.is_ascii_punctuation() => {
                rest = rest.get(1..).unwrap_or_default();
                continue;
            }
            _ => return Err(Fault::Format),
        };
        found.push(field);
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(found)
}

fn digits_first(rest: &[u8]) -> (Field, usize) {
    let digits = count(rest, u8::is_ascii_digit);
    let tail = rest.get(digits..).unwrap_or_default();
    match tail.first() {
        Some(b':') => {
            let length = digits + count(tail, |byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.'));
            (Field::Time(string(rest, length)), length)
        }
        Some(delimiter @ (b'-' | b'/' | b'.')) => {
            let after = tail.get(1..).unwrap_or_default();
            if after.first().is_some_and(u8::is_ascii_digit) {
                let more = digits + 1 + count(after, u8::is_ascii_digit);
                if rest.get(more) == Some(delimiter) {
                    let length = more + count(rest.get(more..).unwrap_or_default(), |byte| byte.is_ascii_digit() || byte == delimiter);
                    return (Field::Date(string(rest, length)), length);
                }
                let field = string(rest, more);
                return (if *delimiter == b'.' { Field::Number(field) } else { Field::Date(field) }, more);
            }
            let length = digits + 1 + count(after, |byte| byte.is_ascii_alphanumeric() || byte == delimiter);
            (Field::Date(string(rest, length)), length)
        }
        _ => (Field::Number(string(rest, digits)), digits),
    }
}

fn letters_first(rest: &[u8]) -> (Field, usize) {
    let letters = count(rest, u8::is_ascii_lowercase);
    let word = string(rest, letters);
    let joined = match rest.get(letters) {
        Some(b'-' | b'/' | b'.') => true,
        Some(b'+' | b'0'..=b'9') => !is_known_word(&word),
        _ => false,
    };
    if joined {
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'/' | b'_' | b'.' | b':');
        let length = count(rest, is_part);
        return (Field::Date(string(rest, length)), length);
    }
    (Field::Word(word), letters)
}

pub fn count(bytes: &[u8], matches: impl Fn(&u8) -> bool) -> usize {
    bytes.iter().take_while(|byte| matches(byte)).count()
}

fn string(bytes: &[u8], length: usize) -> String {
    String::from_utf8_lossy(bytes.get(..length).unwrap_or_default()).into_owned()
}

const MONTHS: [(&str, &str); 12] = [
    ("jan", "january"),
    ("feb", "february"),
    ("mar", "march"),
    ("apr", "april"),
    ("may", "may"),
    ("jun", "june"),
    ("jul", "july"),
    ("aug", "august"),
    ("sep", "september"),
    ("oct", "october"),
    ("nov", "november"),
    ("dec", "december"),
];
const DAYS: [&str; 17] = [
    "sun",
    "sunday",
    "mon",
    "monday",
    "tue",
    "tues",
    "tuesday",
    "wed",
    "wednesday",
    "weds",
    "thu",
    "thur",
    "thurs",
    "thursday",
    "fri",
    "friday",
    "sat",
];
const OTHER_WORDS: [&str; 20] = [
    "am",
    "pm",
    "ad",
    "bc",
    "at",
    "on",
    "d",
    "dow",
    "doy",
    "dst",
    "epoch",
    "infinity",
    "-infinity",
    "j",
    "jd",
    "julian",
    "now",
    "t",
    "today",
    "tomorrow",
];

pub fn month(word: &str) -> Option<i64> {
    let index = MONTHS.iter().position(|(short, long)| word == *short || word == *long || word == "sept" && *short == "sep")?;
    i64::try_from(index + 1).ok()
}

pub fn is_day_of_week(word: &str) -> bool {
    DAYS.contains(&word) || word == "saturday"
}

fn is_known_word(word: &str) -> bool {
    month(word).is_some()
        || is_day_of_week(word)
        || OTHER_WORDS.contains(&word)
        || matches!(word, "yesterday" | "allballs" | "y" | "m" | "h" | "s")
}
