//! One record of COPY input, in buffers that are used again for the next.

use crate::sqlstate::{SqlError, SqlState};

/// Decoded fields of a record.
#[derive(Debug, Default)]
pub struct Fields {
    data: Vec<u8>,
    /// End of each field in `data`, and whether it is NULL.
    ends: Vec<(usize, bool)>,
}

impl Fields {
    pub fn clear(&mut self) {
        self.data.clear();
        self.ends.clear();
    }

    pub fn push_byte(&mut self, byte: u8) {
        self.data.push(byte);
    }

    pub fn extend(&mut self, bytes: &[u8]) {
        self.data.extend_from_slice(bytes);
    }

    /// Bytes of the field that is being written.
    #[must_use]
    pub fn current(&self) -> &[u8] {
        self.data.get(self.start()..).unwrap_or_default()
    }

    pub fn end_field(&mut self, is_null: bool) {
        if is_null {
            self.data.truncate(self.start());
        }
        self.ends.push((self.data.len(), is_null));
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The field's text; `None` for NULL.
    ///
    /// # Errors
    /// 22021 for bytes that are not UTF-8 and for NUL.
    pub fn get(&self, index: usize) -> Result<Option<&str>, SqlError> {
        let Some((end, is_null)) = self.ends.get(index).copied() else { return Ok(None) };
        if is_null {
            return Ok(None);
        }
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |(end, _)| *end);
        let bytes = self.data.get(start..end).unwrap_or_default();
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let at = bytes.get(error.valid_up_to()..).unwrap_or_default();
            let shown: Vec<String> =
                at.iter().take(error.error_len().unwrap_or(at.len()).max(1)).map(|byte| format!("0x{byte:02x}")).collect();
            SqlError::new(SqlState::CharacterNotInRepertoire, format!("invalid byte sequence for encoding \"UTF8\": {}", shown.join(" ")))
        })?;
        if text.contains('\0') {
            return Err(SqlError::new(SqlState::CharacterNotInRepertoire, "invalid byte sequence for encoding \"UTF8\": 0x00"));
        }
        Ok(Some(text))
    }

    fn start(&self) -> usize {
        self.ends.last().map_or(0, |(end, _)| *end)
    }
}

/// What a parser found at the start of its input.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// A record stands in the fields; `used` bytes were read, of which the first `line` are shown in errors. `is_last`: the
    /// end-of-data marker stands behind it.
    Record { used: usize, line: usize, is_last: bool },
    /// The end-of-data marker; the rest is ignored.
    End,
    /// More input is needed.
    More,
}
