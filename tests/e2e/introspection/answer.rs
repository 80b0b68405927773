//! One server's answers, brought into a form in which two servers' can be compared.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytes::Bytes;
use lakegate_tests::Result;
use lakegate_tests::wire::{self, Message, Target, Wire};

use super::recording::{Statement, Value};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Simple,
    ExtendedText,
    ExtendedBinary,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Name and type of each column; rows in no order.
    Rows { columns: Vec<(String, u32)>, rows: Vec<Vec<String>> },
    /// SQLSTATE and message.
    Error(String, String),
    /// Anything else, by its command tag.
    Done(String),
}

/// Names of types in recordings.
const TYPES: &[(&str, u32)] = &[
    ("bool", 16),
    ("bytea", 17),
    ("char", 18),
    ("name", 19),
    ("int8", 20),
    ("int2", 21),
    ("int4", 23),
    ("text", 25),
    ("oid", 26),
    ("json", 114),
    ("float4", 700),
    ("float8", 701),
    ("bpchar", 1042),
    ("varchar", 1043),
    ("date", 1082),
    ("time", 1083),
    ("timestamp", 1114),
    ("timestamptz", 1184),
    ("interval", 1186),
    ("numeric", 1700),
    ("uuid", 2950),
    ("jsonb", 3802),
    ("regclass", 2205),
    ("regtype", 2206),
    ("_text", 1009),
    ("_varchar", 1015),
    ("_int4", 1007),
    ("_int8", 1016),
    ("_oid", 1028),
    ("_name", 1003),
];

/// How many parameters of a Bind a recording holds at most.
const RECORDED_VALUES: usize = 12;

/// OIDs that the recorded server gave to the objects of the seed.
const RECORDED_OIDS: &[(&str, &str)] = &[
    ("2200", "public"),
    ("16388", "shop"),
    ("16389", "customers"),
    ("16397", "orders"),
    ("16410", "v_orders"),
    ("16409", "orders_pkey"),
    ("16414", "types_t"),
    ("80553", "customers"),
    ("80561", "orders"),
    ("80574", "v_orders"),
    ("80578", "types_t"),
];

/// What each server numbers by itself, by OID: kind and name.
const OBJECTS: &str = "SELECT oid::int8, CASE relkind WHEN 'i' THEN 'key ' ELSE 'class ' END || relname FROM pg_class WHERE oid >= 16384
    UNION ALL SELECT oid::int8, 'schema ' || nspname FROM pg_namespace WHERE oid >= 13000 OR nspname = 'public'
    UNION ALL SELECT oid::int8, 'type ' || typname FROM pg_type WHERE oid >= 13000
    UNION ALL SELECT oid::int8, 'key ' || conname FROM pg_constraint WHERE oid >= 16384
    UNION ALL SELECT oid::int8, 'default of ' || adrelid::regclass::text || ' ' || adnum FROM pg_attrdef
    UNION ALL SELECT r.oid::int8, 'rule of ' || c.relname FROM pg_rewrite r JOIN pg_class c ON c.oid = ev_class WHERE c.oid >= 16384
    UNION ALL SELECT oid::int8, 'database ' || datname FROM pg_database
    UNION ALL SELECT oid::int8, 'class ' || relname FROM pg_class WHERE relnamespace = 'information_schema'::regnamespace";

pub struct Side {
    target: Target,
    tls: bool,
    wire: Wire,
    names: BTreeMap<String, String>,
    recorded: BTreeMap<&'static str, String>,
}

impl Side {
    /// # Errors
    /// If the login fails.
    pub async fn open(target: Target, tls: bool) -> Result<Side> {
        let wire = super::login(&target, tls).await?;
        Ok(Side { target, tls, wire, names: BTreeMap::new(), recorded: BTreeMap::new() })
    }

    /// Makes the objects and learns their OIDs.
    ///
    /// # Errors
    /// If a statement fails.
    pub async fn set_up(&mut self, script: &str) -> Result<()> {
        for statement in script.split(";\n").map(str::trim).filter(|statement| !statement.is_empty()) {
            if let Answer::Error(code, message) = self.simple(statement).await? {
                return Err(format!("{code} {message}: {statement}").into());
            }
        }
        let Answer::Rows { rows, .. } = self.simple(OBJECTS).await? else { return Err("the objects have no numbers".into()) };
        for row in rows {
            if let [oid, name] = row.as_slice() {
                for (recorded, object) in RECORDED_OIDS {
                    if ["class", "key", "schema"].iter().any(|kind| *name == format!("{kind} {object}")) {
                        // An index stands before the constraint of its name.
                        self.recorded.entry(recorded).or_insert_with(|| oid.clone());
                    }
                }
                if name == "database main" {
                    self.recorded.insert("5", oid.clone());
                }
                self.names.insert(oid.clone(), format!("<{name}>"));
            }
        }
        Ok(())
    }

    /// # Errors
    /// If the connection breaks.
    pub async fn run(&mut self, statement: &Statement, protocol: Protocol) -> Result<Answer> {
        let answer = match protocol {
            Protocol::Simple => self.simple(&self.own(&statement.text)).await?,
            Protocol::ExtendedText => self.extended(statement, 0).await?,
            Protocol::ExtendedBinary => self.extended(statement, 1).await?,
        };
        // Transactions and settings of a statement are not the next one's.
        let reset = match self.simple("ROLLBACK").await {
            Ok(_) => self.simple("DISCARD ALL").await,
            lost => lost,
        };
        if reset.is_err() {
            self.wire = super::login(&self.target, self.tls).await?;
        }
        Ok(answer)
    }

    async fn simple(&mut self, text: &str) -> Result<Answer> {
        self.wire.send(&wire::query(text)).await?;
        let messages = self.wire.until_ready().await?;
        self.answer(&messages, false)
    }

    async fn extended(&mut self, statement: &Statement, format: i16) -> Result<Answer> {
        let count = statement.parameter_count();
        let oid = |name: &String| TYPES.iter().find(|(known, _)| known == name).map_or(0, |(_, oid)| *oid);
        let types: Vec<u32> = statement.types.iter().map(oid).collect();
        let (mut formats, mut values) = (Vec::new(), Vec::new());
        for at in 0..count {
            let (format, value) = match statement.values.get(at) {
                // Recordings hold the first parameters alone.
                None if statement.values.len() == RECORDED_VALUES => (0, Some(b"1".to_vec())),
                None | Some(Value::Null) => (0, None),
                Some(Value::Text(text)) => (0, Some(self.own(text).into_bytes())),
                Some(Value::Binary(bytes)) => (1, Some(bytes.clone())),
            };
            formats.push(format);
            values.push(value);
        }
        let messages = [
            wire::parse("", &self.own(&statement.text), &types),
            wire::bind("", "", &formats, &values, &[format]),
            wire::describe(b'P', ""),
            wire::execute("", 0),
            wire::bare(b'S'),
        ];
        self.wire.send(&messages.concat()).await?;
        let messages = self.wire.until_ready().await?;
        self.answer(&messages, format == 1)
    }

    fn answer(&self, messages: &[Message], binary: bool) -> Result<Answer> {
        let (mut columns, mut rows, mut tag) = (None, Vec::new(), String::new());
        for message in messages {
            match message.tag {
                b'E' => {
                    let field = |letter| wire::error_field(&message.body, letter).unwrap_or_default();
                    return Ok(Answer::Error(field(b'C'), field(b'M')));
                }
                b'T' => {
                    let fields = wire::row_description(&message.body)?;
                    columns = Some(fields.into_iter().map(|field| (field.name, field.type_oid)).collect::<Vec<_>>());
                }
                b'D' => {
                    let types = columns.as_deref().unwrap_or_default();
                    let values = wire::data_row(&message.body)?;
                    rows.push(values.iter().zip(types).map(|(value, (_, oid))| self.shown(value.as_ref(), *oid, binary)).collect());
                }
                b'C' => tag = wire::take_string(&mut message.body.clone())?,
                _ => {}
            }
        }
        Ok(match columns {
            Some(columns) => Answer::Rows { columns, rows },
            None => Answer::Done(tag),
        })
    }

    /// A value as text; numbers that are this server's own OIDs as names.
    fn shown(&self, value: Option<&Bytes>, oid: u32, binary: bool) -> String {
        let Some(bytes) = value else { return "∅".to_owned() };
        let text = match (binary, oid) {
            (false, _) | (true, 18 | 19 | 25 | 114 | 194 | 1042 | 1043) => String::from_utf8_lossy(bytes).into_owned(),
            (true, 26 | 24 | 28 | 2205 | 2206 | 4089 | 4096) => unsigned(bytes).to_string(),
            (true, 20 | 21 | 23) => signed(bytes).to_string(),
            (true, 1028 | 30) => oids(bytes).map(|oids| oids.iter().map(u32::to_string).collect::<Vec<_>>().join(",")).unwrap_or_default(),
            (true, _) => bytes.iter().fold(String::new(), |mut out, byte| {
                let _ = write!(out, "{byte:02x}");
                out
            }),
        };
        // Quantities are no OIDs.
        if matches!(oid, 20 | 700 | 701 | 1700) {
            return text;
        }
        replaced(&text, |number| self.names.get(number).map(String::as_str))
    }

    /// The statement with this server's numbers of the recorded objects. The recorded database is called postgres and has the number 5.
    fn own(&self, text: &str) -> String {
        let text = replaced(text, |number| self.recorded.get(number).map(String::as_str));
        let text = text.replace("\"postgres\".", "\"main\".");
        match self.recorded.get("5") {
            Some(database) => text.replace("= 5::", &format!("= {database}::")).replace("oid = 5)", &format!("oid = {database})")),
            None => text,
        }
    }
}

fn unsigned(bytes: &Bytes) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn signed(bytes: &Bytes) -> i64 {
    let bits = 8 * u32::try_from(bytes.len()).unwrap_or(8).min(8);
    let number = i64::from_be_bytes(unsigned(bytes).to_be_bytes());
    if bits == 64 { number } else { number << (64 - bits) >> (64 - bits) }
}

/// The items of a one-dimensional array of OIDs.
fn oids(bytes: &Bytes) -> Option<Vec<u32>> {
    let words: Vec<u32> = bytes.chunks_exact(4).map(|word| word.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))).collect();
    match words.as_slice() {
        [0, ..] => Some(Vec::new()),
        [_, _, _, _, _, items @ ..] => Some(items.iter().skip(1).step_by(2).copied().collect()),
        _ => None,
    }
}

/// A text in which whole numbers of four digits and more are exchanged where there is something for them.
fn replaced<'a>(text: &str, by: impl Fn(&str) -> Option<&'a str>) -> String {
    let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c| !word(c)).unwrap_or(rest.len());
        let (token, after) = rest.split_at(end);
        let number = token.len() >= 4 && token.bytes().all(|byte| byte.is_ascii_digit());
        out.push_str(if number { by(token).unwrap_or(token) } else { token });
        let other = after.find(word).unwrap_or(after.len());
        out.push_str(&after[..other]);
        rest = &after[other..];
    }
    out
}

/// What two answers differ in: its kind, and how it shows.
pub fn difference(expected: &Answer, came: &Answer) -> Option<(String, String)> {
    match (expected, came) {
        (Answer::Error(expected, _), Answer::Error(came, _)) if expected == came => None,
        (expected, Answer::Error(code, message)) => {
            Some((format!("error {code}"), format!("postgres {}\nlakegate {code} {message}", summary(expected))))
        }
        (Answer::Error(code, message), came) => {
            Some((format!("no error {code}"), format!("postgres {code} {message}\nlakegate {}", summary(came))))
        }
        (Answer::Rows { columns: expected, rows }, Answer::Rows { columns, rows: came }) => {
            if expected != columns {
                let differing: Vec<_> = expected.iter().zip(columns).filter(|(a, b)| a != b).collect();
                return Some(("columns".to_owned(), format!("{} and {} columns; {differing:?}", expected.len(), columns.len())));
            }
            let (missing, extra) = (without(rows, came), without(came, rows));
            (!missing.is_empty() || !extra.is_empty()).then(|| ("rows".to_owned(), rows_apart(expected, &missing, &extra)))
        }
        (expected, came) => (expected != came).then(|| ("answer".to_owned(), format!("{expected:?}\n{came:?}"))),
    }
}

/// Rows of the first, each as often as it is not among the second's.
pub fn without(rows: &[Vec<String>], others: &[Vec<String>]) -> Vec<Vec<String>> {
    let mut count = BTreeMap::<&Vec<String>, usize>::new();
    others.iter().for_each(|row| *count.entry(row).or_default() += 1);
    let mut left: Vec<Vec<String>> = Vec::new();
    for row in rows {
        match count.get_mut(row) {
            Some(count) if *count > 0 => *count -= 1,
            _ => left.push(row.clone()),
        }
    }
    left.sort();
    left
}

fn rows_apart(columns: &[(String, u32)], missing: &[Vec<String>], extra: &[Vec<String>]) -> String {
    let mut out = format!("{} rows of postgres alone, {} of lakegate alone", missing.len(), extra.len());
    if missing.len() == extra.len() {
        for (at, (name, _)) in columns.iter().enumerate() {
            let pair = missing.iter().zip(extra).find(|(a, b)| a.get(at) != b.get(at));
            if let Some((a, b)) = pair {
                let _ = write!(out, "\n  {name}: {:?} / {:?}", a[at], b[at]);
            }
        }
        return out;
    }
    for (side, rows) in [("postgres", missing), ("lakegate", extra)] {
        for row in rows.iter().take(3) {
            let _ = write!(out, "\n  {side} {}", row.join("|").chars().take(400).collect::<String>());
        }
    }
    out
}

fn summary(answer: &Answer) -> String {
    match answer {
        Answer::Rows { rows, .. } => format!("{} rows", rows.len()),
        Answer::Error(code, message) => format!("{code} {message}"),
        Answer::Done(tag) => tag.clone(),
    }
}
