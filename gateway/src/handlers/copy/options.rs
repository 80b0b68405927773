//! COPY's options, PostgreSQL's and the file formats of the data plane.

use sqlparser::ast::{CopyLegacyCsvOption, CopyLegacyOption, CopyOption, CopyTarget, Ident};

use crate::sql::grammar::fold;
use crate::sqlstate::{SqlError, SqlState};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    Csv,
    Parquet,
}

/// Checked and filled in with PostgreSQL's defaults.
#[derive(Debug, Clone)]
pub struct Options {
    pub format: Format,
    pub delimiter: u8,
    pub null: String,
    pub header: bool,
    pub quote: u8,
    pub escape: u8,
    /// Columns to quote always; `*` for all.
    pub force_quote: Vec<String>,
    /// Columns in which the null string is data.
    pub force_not_null: Vec<String>,
    /// Columns in which the quoted null string is NULL too.
    pub force_null: Vec<String>,
}

impl Options {
    /// # Errors
    /// 0A000 for what is not supported, 22023 and 42601 for what makes no sense.
    pub fn new(options: &[CopyOption], legacy: &[CopyLegacyOption], target: &CopyTarget) -> Result<Self, SqlError> {
        let format = format(options, legacy, target)?;
        let is_csv = format == Format::Csv;
        let mut result = Options {
            format,
            delimiter: if is_csv { b',' } else { b'\t' },
            null: if is_csv { String::new() } else { "\\N".to_owned() },
            header: false,
            quote: b'"',
            escape: b'"',
            force_quote: Vec::new(),
            force_not_null: Vec::new(),
            force_null: Vec::new(),
        };
        let mut escape = None;
        for option in options {
            match option {
                CopyOption::Format(_) | CopyOption::Freeze(false) => {}
                CopyOption::Freeze(true) => return Err(SqlError::unsupported("COPY FREEZE")),
                CopyOption::Delimiter(delimiter) => result.delimiter = single_byte(*delimiter, "delimiter")?,
                CopyOption::Null(null) => result.null.clone_from(null),
                CopyOption::Header(header) => result.header = *header,
                CopyOption::Quote(quote) => result.quote = csv_only(is_csv, "quote", single_byte(*quote, "quote")?)?,
                CopyOption::Escape(byte) => escape = Some(csv_only(is_csv, "escape", single_byte(*byte, "escape")?)?),
                CopyOption::ForceQuote(columns) => result.force_quote = csv_only(is_csv, "force quote", folded(columns))?,
                CopyOption::ForceNotNull(columns) => result.force_not_null = csv_only(is_csv, "force not null", folded(columns))?,
                CopyOption::ForceNull(columns) => result.force_null = csv_only(is_csv, "force null", folded(columns))?,
                CopyOption::Encoding(encoding) if encoding.to_ascii_lowercase().replace(['-', '_'], "") == "utf8" => {}
                CopyOption::Encoding(encoding) => {
                    return Err(SqlError::unsupported(format!("COPY with encoding {encoding}")).hint("Use UTF8."));
                }
            }
        }
        for option in legacy {
            match option {
                CopyLegacyOption::Csv(options) => {
                    for option in options {
                        match option {
                            CopyLegacyCsvOption::Header => result.header = true,
                            CopyLegacyCsvOption::Quote(quote) => result.quote = single_byte(*quote, "quote")?,
                            CopyLegacyCsvOption::Escape(byte) => escape = Some(single_byte(*byte, "escape")?),
                            CopyLegacyCsvOption::ForceQuote(columns) => result.force_quote = folded(columns),
                            CopyLegacyCsvOption::ForceNotNull(columns) => result.force_not_null = folded(columns),
                        }
                    }
                }
                CopyLegacyOption::Delimiter(delimiter) => result.delimiter = single_byte(*delimiter, "delimiter")?,
                CopyLegacyOption::Null(null) => result.null.clone_from(null),
                CopyLegacyOption::Header => result.header = true,
                CopyLegacyOption::Parquet => {}
                other => return Err(SqlError::unsupported(format!("the COPY option {other}"))),
            }
        }
        result.escape = escape.unwrap_or(result.quote);
        result.check()?;
        Ok(result)
    }

    fn check(&self) -> Result<(), SqlError> {
        let invalid = |message: &str| Err(SqlError::new(SqlState::InvalidParameterValue, message));
        if matches!(self.delimiter, b'\n' | b'\r') {
            return invalid("COPY delimiter cannot be newline or carriage return");
        }
        if self.null.contains(['\n', '\r']) {
            return invalid("COPY null representation cannot use newline or carriage return");
        }
        if self.format == Format::Text && b"\\.abcdefghijklmnopqrstuvwxyz0123456789".contains(&self.delimiter) {
            return invalid("COPY delimiter cannot be a backslash, a period, a lower-case letter or a digit");
        }
        if self.format == Format::Csv && self.delimiter == self.quote {
            return invalid("COPY delimiter and quote must be different");
        }
        if self.null.as_bytes().contains(&self.delimiter) {
            return invalid("COPY delimiter must not appear in the NULL specification");
        }
        Ok(())
    }
}

fn format(options: &[CopyOption], legacy: &[CopyLegacyOption], target: &CopyTarget) -> Result<Format, SqlError> {
    let named = options.iter().find_map(|option| match option {
        CopyOption::Format(name) => Some(fold(name)),
        _ => None,
    });
    match named.as_deref() {
        Some("text") => Ok(Format::Text),
        Some("csv") => Ok(Format::Csv),
        Some("parquet") => Ok(Format::Parquet),
        Some("binary") => Err(SqlError::unsupported("COPY in binary format").hint("Use text or csv.")),
        Some(other) => Err(SqlError::new(SqlState::InvalidParameterValue, format!("COPY format \"{other}\" not recognized"))),
        None if legacy.iter().any(|option| matches!(option, CopyLegacyOption::Csv(_))) => Ok(Format::Csv),
        None if legacy.iter().any(|option| matches!(option, CopyLegacyOption::Binary)) => {
            Err(SqlError::unsupported("COPY in binary format").hint("Use text or csv."))
        }
        None if matches!(target, CopyTarget::File { filename } if filename.ends_with(".parquet") || filename.ends_with('/')) => {
            Ok(Format::Parquet)
        }
        None => Ok(Format::Text),
    }
}

fn csv_only<T>(is_csv: bool, option: &str, value: T) -> Result<T, SqlError> {
    if is_csv { Ok(value) } else { Err(SqlError::new(SqlState::FeatureNotSupported, format!("COPY {option} available only in CSV mode"))) }
}

fn single_byte(character: char, option: &str) -> Result<u8, SqlError> {
    u8::try_from(character)
        .ok()
        .filter(u8::is_ascii)
        .ok_or_else(|| SqlError::new(SqlState::FeatureNotSupported, format!("COPY {option} must be a single one-byte character")))
}

fn folded(columns: &[Ident]) -> Vec<String> {
    columns.iter().map(fold).collect()
}
