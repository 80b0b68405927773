//! Character types, bytea, "char", char(n), uuid and binary jsonb.

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_schema::DataType;
use lakegate_catalog::model::PgType;

use super::cell::{Cell, Manner, mismatch};
use crate::sqlstate::SqlError;
use crate::wire::outgoing::Format;
use crate::wire::text_input::uuid::parse_uuid;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// The bytes of a string array as they are; `None` for other arrays.
pub fn characters(array: &ArrayRef) -> Option<Cell> {
    macro_rules! copied {
        ($array:expr) => {{
            let array = $array.clone();
            Some(Box::new(move |row, out| {
                out.extend_from_slice(array.value(row).as_bytes());
                Ok(())
            }))
        }};
    }
    match array.data_type() {
        DataType::Utf8 => copied!(array.as_string::<i32>()),
        DataType::LargeUtf8 => copied!(array.as_string::<i64>()),
        DataType::Utf8View => copied!(array.as_string_view()),
        _ => None,
    }
}

pub fn bytea(pg: PgType, array: &ArrayRef, format: Format, manner: &Manner) -> Result<Cell, SqlError> {
    let hex = manner.style.bytea_hex;
    macro_rules! written {
        ($array:expr) => {{
            let array = $array.clone();
            Ok(match (format, hex) {
                (Format::Binary, _) => Box::new(move |row, out| {
                    out.extend_from_slice(array.value(row).as_ref());
                    Ok(())
                }),
                (Format::Text, true) => Box::new(move |row, out| {
                    bytea_hex(array.value(row).as_ref(), out);
                    Ok(())
                }),
                (Format::Text, false) => Box::new(move |row, out| {
                    bytea_escape(array.value(row).as_ref(), out);
                    Ok(())
                }),
            })
        }};
    }
    match array.data_type() {
        DataType::Binary => written!(array.as_binary::<i32>()),
        DataType::LargeBinary => written!(array.as_binary::<i64>()),
        DataType::BinaryView => written!(array.as_binary_view()),
        DataType::FixedSizeBinary(_) => written!(array.as_fixed_size_binary()),
        DataType::Utf8 => written!(array.as_string::<i32>()),
        DataType::LargeUtf8 => written!(array.as_string::<i64>()),
        DataType::Utf8View => written!(array.as_string_view()),
        other => Err(mismatch(pg, other, format)),
    }
}

/// `inet`, an address without a mask (`network_send`, network.c): family, bits, whether it is cidr, length, address.
pub fn inet_binary(pg: PgType, array: &ArrayRef) -> Result<Cell, SqlError> {
    let Some(text) = characters(array) else { return Err(mismatch(pg, array.data_type(), Format::Binary)) };
    let data_type = array.data_type().clone();
    Ok(Box::new(move |row, out| {
        let mut written = Vec::new();
        text(row, &mut written)?;
        let address = std::str::from_utf8(&written).ok().and_then(|text| text.parse::<std::net::IpAddr>().ok());
        match address.ok_or_else(|| Box::new(mismatch(pg, &data_type, Format::Binary)))? {
            std::net::IpAddr::V4(address) => {
                out.extend_from_slice(&[2, 32, 0, 4]);
                out.extend_from_slice(&address.octets());
            }
            std::net::IpAddr::V6(address) => {
                out.extend_from_slice(&[3, 128, 0, 16]);
                out.extend_from_slice(&address.octets());
            }
        }
        Ok(())
    }))
}

/// `"char"`: one byte; the empty string is byte zero in binary.
pub fn single_byte(pg: PgType, array: &ArrayRef, format: Format) -> Result<Cell, SqlError> {
    let Some(all) = characters(array) else {
        let Some(value) = super::cell::as_i64(array) else { return Err(mismatch(pg, array.data_type(), format)) };
        return Ok(Box::new(move |row, out| {
            out.push(u8::try_from(value(row) & 0xff).unwrap_or(0));
            Ok(())
        }));
    };
    Ok(Box::new(move |row, out| {
        let at = out.len();
        all(row, out)?;
        out.truncate(at + 1);
        if format == Format::Binary && out.len() == at {
            out.push(0);
        }
        Ok(())
    }))
}

/// `char(n)`: padded with blanks to n characters.
pub fn padded(pg: PgType, array: &ArrayRef, format: Format, manner: &Manner) -> Result<Cell, SqlError> {
    let Some(all) = characters(array) else { return super::cell::cell(PgType::TEXT, array, format, manner) };
    let Some(width) = pg.character_length().and_then(|width| usize::try_from(width).ok()) else { return Ok(all) };
    Ok(Box::new(move |row, out| {
        let at = out.len();
        all(row, out)?;
        let is_first_byte = |byte: &&u8| **byte & 0xc0 != 0x80;
        let characters = out.iter().skip(at).filter(is_first_byte).count();
        out.extend(std::iter::repeat_n(b' ', width.saturating_sub(characters)));
        Ok(())
    }))
}

pub fn uuid(pg: PgType, array: &ArrayRef, format: Format) -> Result<Cell, SqlError> {
    if let DataType::FixedSizeBinary(16) = array.data_type() {
        let array = array.as_fixed_size_binary().clone();
        return Ok(match format {
            Format::Binary => Box::new(move |row, out| {
                out.extend_from_slice(array.value(row));
                Ok(())
            }),
            Format::Text => Box::new(move |row, out| {
                uuid_text(array.value(row), out);
                Ok(())
            }),
        });
    }
    let Some(all) = characters(array) else { return Err(mismatch(pg, array.data_type(), format)) };
    Ok(match format {
        Format::Text => all,
        Format::Binary => Box::new(move |row, out| {
            let mut text = Vec::with_capacity(36);
            all(row, &mut text)?;
            out.extend_from_slice(&parse_uuid(&String::from_utf8_lossy(&text))?);
            Ok(())
        }),
    })
}

/// A version byte before the text.
pub fn jsonb_binary(pg: PgType, array: &ArrayRef) -> Result<Cell, SqlError> {
    let text = super::json::document(pg, array)?;
    Ok(Box::new(move |row, out| {
        out.push(1);
        text(row, out)
    }))
}

pub fn bytea_hex(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"\\x");
    for byte in bytes {
        out.extend_from_slice(&hex_pair(*byte));
    }
}

pub fn uuid_text(bytes: &[u8], out: &mut Vec<u8>) {
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        out.extend_from_slice(&hex_pair(*byte));
    }
}

fn bytea_escape(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x20..=0x7e => out.push(*byte),
            _ => out.extend_from_slice(&[b'\\', b'0' + (byte >> 6), b'0' + ((byte >> 3) & 7), b'0' + (byte & 7)]),
        }
    }
}

fn hex_pair(byte: u8) -> [u8; 2] {
    [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]
}
