//! How moments and ids are written where the contract travels: as numbers, whatever features their crates were built with.

use chrono::{DateTime, Utc};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// Seconds and nanoseconds since 1970.
type Moment = (i64, u32);

fn written(time: &DateTime<Utc>) -> Moment {
    (time.timestamp(), time.timestamp_subsec_nanos())
}

fn read<E: Error>((seconds, nanoseconds): Moment) -> Result<DateTime<Utc>, E> {
    DateTime::from_timestamp(seconds, nanoseconds).ok_or_else(|| E::custom("a moment out of range"))
}

pub mod time {
    use super::*;

    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
        written(time).serialize(serializer)
    }

    /// # Errors
    /// The deserializer's; a moment that chrono does not have.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
        read(Moment::deserialize(deserializer)?)
    }
}

pub mod time_if_any {
    use super::*;

    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(time: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
        time.as_ref().map(written).serialize(serializer)
    }

    /// # Errors
    /// As [`super::time::deserialize`].
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
        Option::<Moment>::deserialize(deserializer)?.map(read).transpose()
    }
}

pub mod id {
    use super::*;

    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(id: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
        id.as_u128().serialize(serializer)
    }

    /// # Errors
    /// The deserializer's.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
        u128::deserialize(deserializer).map(Uuid::from_u128)
    }
}

pub mod id_if_any {
    use super::*;

    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(id: &Option<Uuid>, serializer: S) -> Result<S::Ok, S::Error> {
        id.map(|id| id.as_u128()).serialize(serializer)
    }

    /// # Errors
    /// The deserializer's.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Uuid>, D::Error> {
        Ok(Option::<u128>::deserialize(deserializer)?.map(Uuid::from_u128))
    }
}
