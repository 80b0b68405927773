//! Deletion vectors: which rows of a data file are gone (Delta protocol, sections "Deletion Vectors" and "Deletion
//! Vector Format").

use deltalake_core::kernel::{DeletionVectorDescriptor, StorageType};
use lakegate_engine_api::EngineError;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use roaring::RoaringTreemap;

use crate::error;

/// First byte of an object with vectors.
const FORMAT_VERSION: u8 = 1;

/// First four bytes of a serialized vector, little endian.
const MAGIC: u32 = 1_681_511_377;

/// Where a vector is kept, as an add action names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DeletionVector {
    pub place: Place,
    pub size_bytes: u64,
    /// Rows it deletes.
    pub cardinality: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    Inline(String),
    /// Object path in the table's store, and where in the object the vector starts.
    File {
        path: Path,
        offset: u64,
    },
}

impl Place {
    /// The object that it is in.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Place::Inline(_) => None,
            Place::File { path, .. } => Some(path),
        }
    }
}

/// Where the vector is that an action of the log describes; `root` is the table's folder.
///
/// # Errors
/// As [`DeletionVector::new`].
pub fn place_of(action: &serde_json::Value, root: &Path) -> Result<Place, EngineError> {
    let damaged = || error::corrupted("a deletion vector in the table's log is damaged");
    let text = |name: &str| action.get(name).and_then(serde_json::Value::as_str).ok_or_else(damaged);
    let number = |name: &str| action.get(name).and_then(serde_json::Value::as_i64);
    let offset = number("offset").and_then(|offset| i32::try_from(offset).ok());
    let size = number("sizeInBytes").and_then(|size| i32::try_from(size).ok()).ok_or_else(damaged)?;
    let cardinality = number("cardinality").ok_or_else(damaged)?;
    DeletionVector::new(text("storageType")?, text("pathOrInlineDv")?, offset, size, cardinality, root).map(|vector| vector.place)
}

impl DeletionVector {
    /// From `storageType` and `pathOrInlineDv`; `root` is the table's folder.
    ///
    /// # Errors
    /// `Corrupted` where they make no sense, `Unsupported` for absolute paths.
    pub fn new(
        storage: &str,
        text: &str,
        offset: Option<i32>,
        size_bytes: i32,
        cardinality: i64,
        root: &Path,
    ) -> Result<Self, EngineError> {
        let damaged = || error::corrupted("a deletion vector in the table's log is damaged");
        let place = match storage {
            "i" => Place::Inline(text.to_owned()),
            "u" => {
                let at = text.len().checked_sub(20).filter(|at| text.is_char_boundary(*at)).ok_or_else(damaged)?;
                let (prefix, id) = text.split_at(at);
                let id: [u8; 16] = z85(id).and_then(|bytes| bytes.try_into().ok()).ok_or_else(damaged)?;
                let name = format!("deletion_vector_{}.bin", uuid::Uuid::from_bytes(id));
                let folder = if prefix.is_empty() { root.clone() } else { root.clone().join(prefix) };
                Place::File { path: folder.join(name), offset: offset.and_then(|offset| offset.try_into().ok()).unwrap_or(1) }
            }
            "p" => return Err(error::unsupported("deletion vectors outside the table's folder")),
            _ => return Err(damaged()),
        };
        let size_bytes = u64::try_from(size_bytes).map_err(|_| damaged())?;
        let cardinality = u64::try_from(cardinality).map_err(|_| damaged())?;
        Ok(Self { place, size_bytes, cardinality })
    }

    /// Positions of the deleted rows.
    ///
    /// # Errors
    /// `Storage`; `Corrupted` where size, checksum or cardinality are not as they should be.
    pub async fn load(&self, store: &dyn ObjectStore, table: &str) -> Result<RoaringTreemap, EngineError> {
        let damaged = || error::corrupted("a deletion vector is damaged");
        let bytes = match &self.place {
            Place::Inline(text) => {
                let mut bytes = z85(text).ok_or_else(damaged)?;
                bytes.truncate(usize::try_from(self.size_bytes).map_err(|_| damaged())?);
                bytes
            }
            Place::File { path, offset } => {
                // Four bytes of size before the vector, four of checksum after it, both big endian.
                let range = *offset..offset + self.size_bytes + 8;
                let bytes = store.get_range(path, range).await.map_err(|error| error::from_object_store(&error, Some(table)))?;
                let size = usize::try_from(self.size_bytes).map_err(|_| damaged())?;
                let (Some(head), Some(vector), Some(tail)) = (bytes.get(..4), bytes.get(4..4 + size), bytes.get(4 + size..8 + size)) else {
                    return Err(damaged());
                };
                if head != u32::try_from(size).map_err(|_| damaged())?.to_be_bytes() || tail != crc32fast::hash(vector).to_be_bytes() {
                    return Err(damaged());
                }
                vector.to_vec()
            }
        };
        let rows = parse(&bytes).ok_or_else(damaged)?;
        if rows.len() != self.cardinality {
            return Err(damaged());
        }
        Ok(rows)
    }
}

fn parse(bytes: &[u8]) -> Option<RoaringTreemap> {
    let (magic, rest) = bytes.split_first_chunk::<4>()?;
    (u32::from_le_bytes(*magic) == MAGIC).then_some(())?;
    RoaringTreemap::deserialize_from(rest).ok()
}

/// The bytes of a vector as [`parse`] reads them.
fn serialized(rows: &RoaringTreemap) -> Result<Vec<u8>, EngineError> {
    let mut bytes = MAGIC.to_le_bytes().to_vec();
    rows.serialize_into(&mut bytes).map_err(|error| error::internal(format!("a deletion vector cannot be written: {error}")))?;
    Ok(bytes)
}

/// An object that holds vectors, its name in the table's folder, and how add actions name each of them.
///
/// # Errors
/// `Internal` for more than the two gigabytes that an offset can say.
pub fn packed(vectors: &[RoaringTreemap]) -> Result<(Path, Vec<u8>, Vec<DeletionVectorDescriptor>), EngineError> {
    let id = uuid::Uuid::new_v4();
    let (mut object, mut descriptors) = (vec![FORMAT_VERSION], Vec::with_capacity(vectors.len()));
    let signed = |number: usize| i32::try_from(number).map_err(|_| error::internal("a file of deletion vectors is too long"));
    for rows in vectors {
        let bytes = serialized(rows)?;
        let size = signed(bytes.len())?;
        descriptors.push(DeletionVectorDescriptor {
            storage_type: StorageType::UuidRelativePath,
            path_or_inline_dv: z85_encoded(id.as_bytes()),
            offset: Some(signed(object.len())?),
            size_in_bytes: size,
            cardinality: i64::try_from(rows.len()).unwrap_or(i64::MAX),
        });
        object.extend_from_slice(&size.to_be_bytes());
        object.extend_from_slice(&bytes);
        object.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
    }
    Ok((Path::from(format!("deletion_vector_{id}.bin")), object, descriptors))
}

/// All rows of a file but the deleted ones.
///
/// # Errors
/// `Corrupted` where a deleted row lies behind the file's last.
pub fn selection(deleted: &RoaringTreemap, rows: u64) -> Result<RowSelection, EngineError> {
    if deleted.max().is_some_and(|last| last >= rows) {
        return Err(error::corrupted("a deletion vector names rows that its file does not have"));
    }
    let mut selectors: Vec<RowSelector> = Vec::new();
    let mut push = |count: u64, skip: bool| {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        match selectors.last_mut() {
            _ if count == 0 => {}
            Some(last) if last.skip == skip => last.row_count += count,
            _ => selectors.push(if skip { RowSelector::skip(count) } else { RowSelector::select(count) }),
        }
    };
    let mut next = 0;
    for row in deleted {
        push(row - next, false);
        push(1, true);
        next = row + 1;
    }
    push(rows - next, false);
    Ok(selectors.into())
}

const ALPHABET: &[u8; 85] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

/// ZeroMQ's base 85 (RFC 32/Z85), five characters for four bytes.
fn z85_encoded(bytes: &[u8; 16]) -> String {
    let mut text = String::with_capacity(20);
    for chunk in bytes.chunks_exact(4) {
        let value = chunk.iter().fold(0_u32, |value, byte| value << 8 | u32::from(*byte));
        let digits = [52_200_625, 614_125, 7_225, 85, 1].map(|power| value / power % 85);
        text.extend(digits.iter().filter_map(|digit| ALPHABET.get(usize::try_from(*digit).ok()?)).map(|letter| char::from(*letter)));
    }
    text
}

/// The same backwards.
fn z85(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(5) {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 5 * 4);
    for chunk in text.as_bytes().chunks(5) {
        let mut value: u32 = 0;
        for byte in chunk {
            let digit = u32::try_from(ALPHABET.iter().position(|letter| letter == byte)?).ok()?;
            value = value.checked_mul(85)?.checked_add(digit)?;
        }
        bytes.extend_from_slice(&value.to_be_bytes());
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn z85_test_vector() {
        assert_eq!(z85("HelloWorld").unwrap(), [0x86, 0x4F, 0xD2, 0x6F, 0xB5, 0x59, 0xF7, 0x5B]);
        assert!(z85("Hello").is_some());
        assert!(z85("Hell").is_none());
    }

    #[test]
    fn z85_forth_and_back() {
        let bytes = *uuid::Uuid::new_v4().as_bytes();
        assert_eq!(z85(&z85_encoded(&bytes)).unwrap(), bytes);
        assert_eq!(z85_encoded(&[0xFF; 16]), "%nSc0".repeat(4));
    }

    #[tokio::test]
    async fn what_is_packed_is_read() {
        let vectors = [RoaringTreemap::from_iter([1, 2, 7]), RoaringTreemap::from_iter([0, u64::from(u32::MAX) + 5])];
        let (path, object, descriptors) = packed(&vectors).unwrap();
        let store = object_store::memory::InMemory::new();
        let root = Path::from("t");
        let full = path.parts().fold(root.clone(), |path, part| path.join(part));
        store.put(&full, object.into()).await.unwrap();
        for (vector, descriptor) in vectors.iter().zip(descriptors) {
            let DeletionVectorDescriptor { path_or_inline_dv, offset, size_in_bytes, cardinality, .. } = descriptor;
            let read = DeletionVector::new("u", &path_or_inline_dv, offset, size_in_bytes, cardinality, &root).unwrap();
            assert_eq!(read.load(&store, "t").await.unwrap(), *vector);
        }
    }

    #[test]
    fn the_protocols_example_path() {
        let dv = DeletionVector::new("u", "ab^-aqEH.-t@S}K{vb[*k^", Some(4), 40, 6, &Path::from("t")).unwrap();
        let Place::File { path, offset } = dv.place else { unreachable!() };
        assert_eq!(path.as_ref(), "t/ab/deletion_vector_d2c639aa-8816-431a-aaf6-d3fe2512ff61.bin");
        assert_eq!(offset, 4);
    }

    #[tokio::test]
    async fn an_inline_vector() {
        let text = "^Bg9^0rr910000000000iXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L";
        let dv = DeletionVector::new("i", text, None, 44, 6, &Path::from("t")).unwrap();
        let rows = dv.load(&object_store::memory::InMemory::new(), "t").await.unwrap();
        assert_eq!(rows.iter().collect::<Vec<_>>(), [3, 4, 7, 11, 18, 29]);
        let selection = selection(&rows, 31).unwrap();
        assert_eq!(selection.row_count(), 25);
        assert_eq!(selection.skipped_row_count(), 6);
    }
}
