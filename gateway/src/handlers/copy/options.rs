//! COPY's options, PostgreSQL's and the file formats of the data plane. Mirrors `ProcessCopyOptions`.

use crate::sql::grammar::{Copy, CopyOption, CopyTarget, CopyValue};
use crate::sqlstate::{SqlError, SqlState};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    Csv,
    Binary,
    Json,
    Parquet,
}

/// What becomes of rows whose values cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    Stop,
    /// They are left out, up to `limit` of them; `verbose`: each is told.
    Ignore {
        limit: Option<u64>,
        verbose: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    None,
    Line,
    /// COPY FROM only: a line that must hold the columns' names.
    Match,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Columns {
    All,
    Named(Vec<String>),
}

impl Columns {
    #[must_use]
    pub fn contain(&self, name: &str) -> bool {
        match self {
            Columns::All => true,
            Columns::Named(names) => names.iter().any(|named| named == name),
        }
    }
}

/// Checked and filled in with PostgreSQL's defaults.
#[derive(Debug, Clone)]
pub struct Options {
    pub format: Format,
    pub delimiter: u8,
    pub null: String,
    pub header: Header,
    pub quote: u8,
    pub escape: u8,
    /// Columns to quote always.
    pub force_quote: Columns,
    /// Columns in which the null string is data.
    pub force_not_null: Columns,
    /// Columns in which the quoted null string is NULL too.
    pub force_null: Columns,
    /// Only into a table that the transaction has made or emptied: nobody else can see its rows before they are frozen.
    pub freeze: bool,
    pub on_error: OnError,
}

/// What was written, each at most once.
#[derive(Default)]
struct Given {
    format: Option<Format>,
    freeze: Option<bool>,
    delimiter: Option<String>,
    null: Option<String>,
    header: Option<Header>,
    quote: Option<String>,
    escape: Option<String>,
    force_quote: Option<Columns>,
    force_not_null: Option<Columns>,
    force_null: Option<Columns>,
    encoding: Option<()>,
    ignore_errors: Option<bool>,
    reject_limit: Option<u64>,
    verbose: Option<bool>,
}

impl Options {
    /// # Errors
    /// As PostgreSQL: 42601 for options that are unknown, repeated or badly written, 22023 and 0A000 for those that make no sense.
    pub fn new(copy: &Copy) -> Result<Self, SqlError> {
        let mut given = Given::default();
        for option in &copy.options {
            given.take(option, copy.to)?;
        }
        let format = given.format.unwrap_or_else(|| default_format(&copy.target));
        given.check_binary(format)?;
        let is_csv = format == Format::Csv;
        let options = Options {
            format,
            delimiter: one_byte(given.delimiter.as_deref().unwrap_or(if is_csv { "," } else { "\t" }), "delimiter")?,
            null: given.null.clone().unwrap_or_else(|| if is_csv { String::new() } else { "\\N".to_owned() }),
            header: given.header.unwrap_or(Header::None),
            quote: 0,
            escape: 0,
            force_quote: Columns::Named(Vec::new()),
            force_not_null: Columns::Named(Vec::new()),
            force_null: Columns::Named(Vec::new()),
            freeze: false,
            on_error: given.on_error(format)?,
        };
        options.check_text()?;
        options.with_csv(given, copy.to)
    }

    fn check_text(&self) -> Result<(), SqlError> {
        if matches!(self.delimiter, b'\n' | b'\r') {
            return Err(invalid("COPY delimiter cannot be newline or carriage return"));
        }
        if self.null.contains(['\n', '\r']) {
            return Err(invalid("COPY null representation cannot use newline or carriage return"));
        }
        if self.format == Format::Text && b"\\.abcdefghijklmnopqrstuvwxyz0123456789".contains(&self.delimiter) {
            return Err(invalid(format!("COPY delimiter cannot be \"{}\"", char::from(self.delimiter))));
        }
        match self.format {
            Format::Binary if self.header != Header::None => Err(refused("cannot specify HEADER in BINARY mode")),
            Format::Json if self.header != Header::None => Err(refused("cannot specify HEADER in JSON mode")),
            _ => Ok(()),
        }
    }

    fn with_csv(mut self, given: Given, to: bool) -> Result<Self, SqlError> {
        let is_csv = self.format == Format::Csv;
        let csv_only = |is_given: bool, option: &str| match is_given && !is_csv {
            true => Err(refused(format!("COPY {option} available only in CSV mode"))),
            false => Ok(()),
        };
        csv_only(given.quote.is_some(), "quote")?;
        self.quote = one_byte(given.quote.as_deref().unwrap_or("\""), "quote")?;
        if is_csv && self.delimiter == self.quote {
            return Err(invalid("COPY delimiter and quote must be different"));
        }
        csv_only(given.escape.is_some(), "escape")?;
        self.escape = given.escape.map_or(Ok(self.quote), |escape| one_byte(&escape, "escape"))?;
        for (columns, option, direction, wanted) in [
            (&given.force_quote, "force quote", "TO", to),
            (&given.force_not_null, "force not null", "FROM", !to),
            (&given.force_null, "force null", "FROM", !to),
        ] {
            csv_only(columns.is_some(), option)?;
            if columns.is_some() && !wanted {
                return Err(refused(format!("COPY {option} only available using COPY {direction}")));
            }
        }
        let none = || Columns::Named(Vec::new());
        self.force_quote = given.force_quote.unwrap_or_else(none);
        self.force_not_null = given.force_not_null.unwrap_or_else(none);
        self.force_null = given.force_null.unwrap_or_else(none);
        if self.null.as_bytes().contains(&self.delimiter) {
            return Err(refused("COPY delimiter must not appear in the NULL specification"));
        }
        if is_csv && self.null.as_bytes().contains(&self.quote) {
            return Err(refused("CSV quote character must not appear in the NULL specification"));
        }
        self.freeze = given.freeze == Some(true) && !to;
        Ok(self)
    }
}

impl Given {
    fn take(&mut self, option: &CopyOption, to: bool) -> Result<(), SqlError> {
        match option.name.as_str() {
            "format" => once(&mut self.format, format(&text(option)?)?),
            "freeze" => once(&mut self.freeze, boolean(option)?),
            "delimiter" => once(&mut self.delimiter, text(option)?),
            "null" => once(&mut self.null, text(option)?),
            "header" => once(&mut self.header, header(option, to)?),
            "quote" => once(&mut self.quote, text(option)?),
            "escape" => once(&mut self.escape, text(option)?),
            "force_quote" => match option.value {
                CopyValue::Star => once(&mut self.force_quote, Columns::All),
                _ => once(&mut self.force_quote, columns(option)?),
            },
            "force_not_null" => once(&mut self.force_not_null, columns(option)?),
            "force_null" => once(&mut self.force_null, columns(option)?),
            "encoding" => once(&mut self.encoding, encoding(&text(option)?)?),
            "on_error" => once(&mut self.ignore_errors, on_error(option, to)?),
            "reject_limit" => once(&mut self.reject_limit, reject_limit(option)?),
            "log_verbosity" => once(&mut self.verbose, verbosity(&text(option)?)?),
            other => Err(SqlError::new(SqlState::SyntaxError, format!("option \"{other}\" not recognized"))),
        }
    }

    /// Source: `ProcessCopyOptions` of PostgreSQL 18.
    fn on_error(&self, format: Format) -> Result<OnError, SqlError> {
        let ignores = self.ignore_errors == Some(true);
        if ignores && matches!(format, Format::Binary | Format::Parquet) {
            let format = if format == Format::Binary { "BINARY" } else { "PARQUET" };
            return Err(SqlError::new(SqlState::SyntaxError, format!("only ON_ERROR STOP is allowed in {format} mode")));
        }
        if self.reject_limit.is_some() && !ignores {
            return Err(invalid("COPY REJECT_LIMIT requires ON_ERROR to be set to IGNORE"));
        }
        let (limit, verbose) = (self.reject_limit, self.verbose == Some(true));
        Ok(if ignores { OnError::Ignore { limit, verbose } } else { OnError::Stop })
    }

    fn check_binary(&self, format: Format) -> Result<(), SqlError> {
        let name = match format {
            Format::Binary => "BINARY",
            Format::Json => "JSON",
            Format::Parquet => "PARQUET",
            Format::Text | Format::Csv => return Ok(()),
        };
        let given = [("DELIMITER", self.delimiter.is_some()), ("NULL", self.null.is_some())];
        match given.iter().find(|(_, is_given)| *is_given) {
            Some((option, _)) => Err(SqlError::new(SqlState::SyntaxError, format!("cannot specify {option} in {name} mode"))),
            None => Ok(()),
        }
    }
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), SqlError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(SqlError::new(SqlState::SyntaxError, "conflicting or redundant options")),
    }
}

fn default_format(target: &CopyTarget) -> Format {
    match target {
        CopyTarget::File(name) => format_of_name(name),
        _ => Format::Text,
    }
}

/// By the ending of the name, that of a compressed file left out.
fn format_of_name(name: &str) -> Format {
    let plain = [".gz", ".bz2", ".zst"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name);
    match plain.rsplit_once('.').map(|(_, ending)| ending) {
        Some("csv") => Format::Csv,
        Some("json" | "jsonl" | "ndjson") => Format::Json,
        Some("parquet") => Format::Parquet,
        _ if plain.ends_with('/') => Format::Parquet,
        _ => Format::Text,
    }
}

fn on_error(option: &CopyOption, to: bool) -> Result<bool, SqlError> {
    if to {
        return Err(invalid("COPY ON_ERROR cannot be used with COPY TO"));
    }
    match text(option)?.to_ascii_lowercase().as_str() {
        "ignore" => Ok(true),
        "stop" => Ok(false),
        other => Err(invalid(format!("COPY ON_ERROR \"{other}\" not recognized"))),
    }
}

fn reject_limit(option: &CopyOption) -> Result<u64, SqlError> {
    let text = text(option)?;
    let limit: i64 = text.parse().map_err(|_| SqlError::new(SqlState::SyntaxError, "reject_limit requires a numeric value"))?;
    u64::try_from(limit).ok().filter(|limit| *limit > 0).ok_or_else(|| invalid(format!("REJECT_LIMIT ({limit}) must be greater than zero")))
}

fn verbosity(name: &str) -> Result<bool, SqlError> {
    match name.to_ascii_lowercase().as_str() {
        "verbose" => Ok(true),
        "default" | "silent" => Ok(false),
        _ => Err(invalid(format!("COPY LOG_VERBOSITY \"{name}\" not recognized"))),
    }
}

fn format(name: &str) -> Result<Format, SqlError> {
    match name {
        "text" => Ok(Format::Text),
        "csv" => Ok(Format::Csv),
        "binary" => Ok(Format::Binary),
        "json" => Ok(Format::Json),
        "parquet" => Ok(Format::Parquet),
        other => Err(invalid(format!("COPY format \"{other}\" not recognized"))),
    }
}

/// `defGetString`.
fn text(option: &CopyOption) -> Result<String, SqlError> {
    match &option.value {
        CopyValue::None => Err(SqlError::new(SqlState::SyntaxError, format!("{} requires a parameter", option.name))),
        CopyValue::Text(text) => Ok(text.clone()),
        CopyValue::Star => Ok("*".to_owned()),
        CopyValue::Names(names) => Ok(names.join(".")),
    }
}

/// `defGetBoolean`.
fn boolean(option: &CopyOption) -> Result<bool, SqlError> {
    let message = || SqlError::new(SqlState::SyntaxError, format!("{} requires a Boolean value", option.name));
    match &option.value {
        CopyValue::None => Ok(true),
        value => truth(value).ok_or_else(message),
    }
}

fn truth(value: &CopyValue) -> Option<bool> {
    let CopyValue::Text(text) = value else { return None };
    match text.to_ascii_lowercase().as_str() {
        "true" | "on" | "1" => Some(true),
        "false" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// `defGetCopyHeaderChoice`.
fn header(option: &CopyOption, to: bool) -> Result<Header, SqlError> {
    match &option.value {
        CopyValue::None => Ok(Header::Line),
        CopyValue::Text(text) if text.eq_ignore_ascii_case("match") => match to {
            true => Err(refused("cannot use \"match\" with HEADER in COPY TO")),
            false => Ok(Header::Match),
        },
        value => match truth(value) {
            Some(true) => Ok(Header::Line),
            Some(false) => Ok(Header::None),
            None => Err(SqlError::new(SqlState::SyntaxError, "header requires a Boolean value or \"match\"")),
        },
    }
}

fn columns(option: &CopyOption) -> Result<Columns, SqlError> {
    match &option.value {
        CopyValue::Names(names) => Ok(Columns::Named(names.clone())),
        _ => Err(invalid(format!("argument to option \"{}\" must be a list of column names", option.name))),
    }
}

/// PostgreSQL's encodings, without the hyphens and underscores that it overlooks.
const ENCODINGS: [&str; 58] = [
    "abc",
    "alt",
    "big5",
    "euccn",
    "eucjis2004",
    "eucjp",
    "euckr",
    "euctw",
    "gb18030",
    "gbk",
    "iso88591",
    "iso885910",
    "iso885913",
    "iso885914",
    "iso885915",
    "iso885916",
    "iso88592",
    "iso88593",
    "iso88594",
    "iso88595",
    "iso88596",
    "iso88597",
    "iso88598",
    "iso88599",
    "johab",
    "koi8",
    "koi8r",
    "koi8u",
    "latin1",
    "latin10",
    "latin2",
    "latin3",
    "latin4",
    "latin5",
    "latin6",
    "latin7",
    "latin8",
    "latin9",
    "mskanji",
    "muleinternal",
    "shiftjis",
    "shiftjis2004",
    "sjis",
    "sqlascii",
    "tcvn",
    "uhc",
    "vscii",
    "win",
    "win1250",
    "win1251",
    "win1252",
    "win1253",
    "win1254",
    "win1255",
    "win1256",
    "win1257",
    "win1258",
    "win866",
];

fn encoding(name: &str) -> Result<(), SqlError> {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect();
    match plain.as_str() {
        "utf8" | "unicode" => Ok(()),
        known if ENCODINGS.contains(&known) => Err(SqlError::unsupported(format!("COPY with encoding {name}")).hint("Use UTF8.")),
        _ => Err(invalid("argument to option \"encoding\" must be a valid encoding name")),
    }
}

fn one_byte(text: &str, option: &str) -> Result<u8, SqlError> {
    match text.as_bytes() {
        [byte] => Ok(*byte),
        _ => Err(refused(format!("COPY {option} must be a single one-byte character"))),
    }
}

fn invalid(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::InvalidParameterValue, message)
}

fn refused(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::FeatureNotSupported, message)
}

/// Of a COPY's text, for tests of its parts.
#[cfg(test)]
pub(super) fn options_of(text: &str) -> Result<Options, SqlError> {
    let parsed = crate::sql::parse::parse(text)?;
    match parsed[0].command.as_deref() {
        Some(crate::sql::grammar::Command::Copy(copy)) => Options::new(copy),
        other => panic!("{other:?}"),
    }
}
