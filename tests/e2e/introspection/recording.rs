//! Recordings of `tools/pgtap.py`: statements with how they were sent.

use std::path::Path;

use lakegate_tests::Result;

use super::answer::Protocol;

/// One statement of a recording.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Statement {
    pub text: String,
    /// Sent by the extended protocol.
    pub prepared: bool,
    /// Names of the declared parameter types, `unspec` for none.
    pub types: Vec<String>,
    /// Of the first Bind.
    pub values: Vec<Value>,
}

/// A recorded parameter: a text, or bytes in the type's binary format.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Value {
    Null,
    Text(String),
    Binary(Vec<u8>),
}

/// All recordings, by file name without its ending.
///
/// # Errors
/// If a file cannot be read.
pub fn read(folder: &Path) -> Result<Vec<(String, Vec<Statement>)>> {
    let mut files: Vec<_> = std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.retain(|path| path.extension().is_some_and(|ending| ending == "sql"));
    files.sort();
    let mut all = Vec::new();
    for path in files {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if !matches!(name.as_str(), "setup" | "recorded_seed") {
            all.push((name, statements(&String::from_utf8_lossy(&std::fs::read(path)?))));
        }
    }
    Ok(all)
}

/// Blocks begin with `-- [simple]` or `-- [parse]` after an empty line, then come the Binds, then the text.
fn statements(text: &str) -> Vec<Statement> {
    text.split("\n\n-- [").skip(1).filter_map(statement).collect()
}

fn statement(block: &str) -> Option<Statement> {
    let (head, mut rest) = block.split_once('\n')?;
    let mut values = None;
    while let Some(bind) = rest.strip_prefix("--   bind ") {
        let (line, after) = bind.split_once('\n')?;
        values = values.or_else(|| line.split_once(" values=").map(|(_, list)| self::values(list)));
        rest = after;
    }
    let text = rest.split("\n-- ").next().filter(|_| rest.contains(" further distinct statements")).unwrap_or(rest);
    let text = text.trim_end();
    let text = text.strip_suffix(';').unwrap_or(text).to_owned();
    let types = head.split_once("params(").and_then(|(_, list)| list.split_once(')')).map(|(list, _)| list).unwrap_or_default();
    let types = types.split(", ").filter(|name| !name.is_empty()).map(str::to_owned).collect();
    (!text.ends_with("/*...cut*/")).then(|| Statement {
        text,
        prepared: head.starts_with("parse"),
        types,
        values: values.unwrap_or_default(),
    })
}

/// `b:0003, '1.5', NULL`: binary in hexadecimal, text as Python writes it.
fn values(list: &str) -> Vec<Value> {
    let mut values = Vec::new();
    let mut rest = list;
    while !rest.is_empty() {
        let (value, after) = if let Some(hex) = rest.strip_prefix("b:") {
            let end = hex.find(',').unwrap_or(hex.len());
            let bytes = (0..end / 2).filter_map(|at| u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok()).collect();
            (Value::Binary(bytes), &hex[end..])
        } else if let Some(quote) = rest.chars().next().filter(|first| matches!(first, '\'' | '"')) {
            let (text, length) = unquoted(&rest[1..], quote);
            (Value::Text(text), &rest[1 + length..])
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            (Value::Null, &rest[end..])
        };
        values.push(value);
        rest = after.strip_prefix(", ").unwrap_or("");
    }
    values
}

fn unquoted(text: &str, quote: char) -> (String, usize) {
    let mut out = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some((_, 'n')) => out.push('\n'),
                Some((_, 't')) => out.push('\t'),
                Some((_, other)) => out.push(other),
                None => break,
            },
            character if character == quote => return (out, at + 1),
            other => out.push(other),
        }
    }
    (out, text.len())
}

impl Statement {
    /// The first word, comments aside.
    pub fn keyword(&self) -> String {
        let mut rest = self.text.as_str();
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '(');
            rest = if let Some(comment) = rest.strip_prefix("/*") {
                comment.split_once("*/").map_or("", |(_, after)| after)
            } else if let Some(comment) = rest.strip_prefix("--") {
                comment.split_once('\n').map_or("", |(_, after)| after)
            } else {
                return rest.chars().take_while(char::is_ascii_alphabetic).collect::<String>().to_ascii_uppercase();
            };
        }
    }

    /// Whether it only asks; the clients' own tables (SELECT INTO makes one) and settings are not what is compared here.
    pub fn asks(&self) -> bool {
        let makes_table =
            self.text.split('\'').step_by(2).any(|part| part.split_whitespace().any(|word| word.eq_ignore_ascii_case("into")));
        matches!(self.keyword().as_str(), "SELECT" | "WITH" | "VALUES" | "TABLE" | "SHOW") && !makes_table
    }

    /// How it is sent: as it was, and in binary where it is one statement.
    pub fn protocols(&self) -> Vec<Protocol> {
        if self.prepared {
            vec![Protocol::ExtendedText, Protocol::ExtendedBinary]
        } else {
            vec![Protocol::Simple, Protocol::ExtendedBinary]
        }
    }

    /// How many parameters the text names.
    pub fn parameter_count(&self) -> usize {
        let outside_strings = self.text.split('\'').step_by(2);
        let number = |part: &str| part.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0);
        let named = outside_strings.flat_map(|part| part.split('$').skip(1)).map(number).max().unwrap_or(0);
        named.max(self.types.len())
    }

    /// Its beginning on one line.
    pub fn beginning(&self) -> String {
        let line = self.text.split_whitespace().collect::<Vec<_>>().join(" ");
        line.chars().take(1_500).collect()
    }

    /// Names a statement in `differences.txt`: FNV-1a of its words, numbers of five digits and more left out, and its first words.
    pub fn fingerprint(&self) -> String {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for word in self.text.split_whitespace() {
            for byte in word.bytes().chain([b' ']) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        format!("{:08x}", hash >> 32)
    }
}

#[test]
fn blocks_are_read() {
    let text = "-- capture: x\n\n-- [simple] x5\nBEGIN;\n\n-- [parse] x1 unnamed params(int2, unspec)\n--   bind x1: formats in=[1, 0] out=[0] \
                values=b:0003, '1.\\'5', NULL\nselect $1,\n\n $2;\n";
    let read = statements(text);
    assert_eq!(read.len(), 2);
    assert_eq!((read[0].text.as_str(), read[0].prepared), ("BEGIN", false));
    assert_eq!(read[1].text, "select $1,\n\n $2");
    assert_eq!(read[1].types, ["int2", "unspec"]);
    assert_eq!(read[1].values, [Value::Binary(vec![0, 3]), Value::Text("1.'5".to_owned()), Value::Null]);
}
