//! Where sequences stand. Not transactional, as in PostgreSQL: a value that was handed out is not handed out again, whatever becomes of
//! the transaction that asked for it. Source: `src/backend/commands/sequence.c`.

use sqlx::{Any, Transaction};

use crate::catalog::Catalog;
use crate::error::CatalogError;
use crate::model::{Oid, Sequence};

/// `last_value` and `is_called` of a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SequenceState {
    pub last_value: i64,
    /// `last_value` was handed out.
    pub is_called: bool,
}

/// Values that were handed out together, in order.
pub type NextValues = Vec<i64>;

impl Catalog {
    /// Hands out `count` values, in one change of the store.
    ///
    /// # Errors
    /// [`CatalogError::SequenceLimit`]: none is handed out then; [`CatalogError::Unavailable`].
    pub async fn next_values(&self, oid: Oid, name: &str, sequence: &Sequence, count: usize) -> Result<NextValues, CatalogError> {
        let mut transaction = self.store().begin_write().await?;
        let state = lock_state(&mut transaction, oid, sequence).await?;
        let (values, after) = advance(name, sequence, state, count)?;
        put_state(&mut transaction, oid, after).await?;
        transaction.commit().await?;
        Ok(values)
    }

    /// `setval`, and RESTART of ALTER SEQUENCE.
    ///
    /// # Errors
    /// [`CatalogError::OutOfRange`]; [`CatalogError::Unavailable`].
    pub async fn set_sequence(&self, oid: Oid, name: &str, sequence: &Sequence, state: SequenceState) -> Result<(), CatalogError> {
        if state.last_value < sequence.min || state.last_value > sequence.max {
            return Err(CatalogError::OutOfRange {
                message: format!(
                    "setval: value {} is out of bounds for sequence \"{name}\" ({}..{})",
                    state.last_value, sequence.min, sequence.max
                ),
            });
        }
        let mut transaction = self.store().begin_write().await?;
        put_state(&mut transaction, oid, state).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Where the sequence stands.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn sequence_state(&self, oid: Oid, sequence: &Sequence) -> Result<SequenceState, CatalogError> {
        let row: Option<(i64, i64)> = sqlx::query_as("SELECT last_value, is_called FROM sequence_states WHERE oid = $1")
            .bind(i64::from(oid))
            .fetch_optional(self.store().reads())
            .await?;
        Ok(row.map_or(start(sequence), |(last_value, is_called)| SequenceState { last_value, is_called: is_called != 0 }))
    }
}

fn start(sequence: &Sequence) -> SequenceState {
    SequenceState { last_value: sequence.start, is_called: false }
}

/// The row is made where there is none, and held: nobody else reads or changes it until the end of the transaction.
async fn lock_state(transaction: &mut Transaction<'static, Any>, oid: Oid, sequence: &Sequence) -> Result<SequenceState, CatalogError> {
    let row: (i64, i64) = sqlx::query_as(
        "INSERT INTO sequence_states (oid, last_value, is_called) VALUES ($1, $2, 0) \
         ON CONFLICT (oid) DO UPDATE SET is_called = sequence_states.is_called RETURNING last_value, is_called",
    )
    .bind(i64::from(oid))
    .bind(sequence.start)
    .fetch_one(&mut **transaction)
    .await?;
    Ok(SequenceState { last_value: row.0, is_called: row.1 != 0 })
}

async fn put_state(transaction: &mut Transaction<'static, Any>, oid: Oid, state: SequenceState) -> Result<(), CatalogError> {
    sqlx::query(
        "INSERT INTO sequence_states (oid, last_value, is_called) VALUES ($1, $2, $3) \
         ON CONFLICT (oid) DO UPDATE SET last_value = excluded.last_value, is_called = excluded.is_called",
    )
    .bind(i64::from(oid))
    .bind(state.last_value)
    .bind(i64::from(state.is_called))
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Source: `nextval_internal`.
fn advance(name: &str, sequence: &Sequence, state: SequenceState, count: usize) -> Result<(NextValues, SequenceState), CatalogError> {
    let mut values = Vec::with_capacity(count);
    let (mut last, mut called) = (state.last_value, state.is_called);
    for _ in 0..count {
        if called {
            let next = last.checked_add(sequence.increment).filter(|next| *next <= sequence.max && *next >= sequence.min);
            last = match next {
                Some(next) => next,
                None if sequence.cycle && sequence.increment > 0 => sequence.min,
                None if sequence.cycle => sequence.max,
                None => {
                    let (limit, value) = if sequence.increment > 0 { ("maximum", sequence.max) } else { ("minimum", sequence.min) };
                    return Err(CatalogError::SequenceLimit { sequence: name.to_owned(), limit, value });
                }
            };
        }
        called = true;
        values.push(last);
    }
    Ok((values, SequenceState { last_value: last, is_called: called }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PgType;

    fn sequence(increment: i64, min: i64, max: i64, cycle: bool) -> Sequence {
        let start = if increment > 0 { min } else { max };
        Sequence { data_type: PgType::INT8, start, increment, min, max, cache: 1, cycle, owned_by: None, of_identity: false }
    }

    #[test]
    fn counts_to_its_end() {
        let up = sequence(3, 1, 8, false);
        let (values, state) = advance("s", &up, start(&up), 3).unwrap();
        assert_eq!(values, [1, 4, 7]);
        let error = advance("s", &up, state, 1).unwrap_err();
        assert_eq!(error.to_string(), "nextval: reached maximum value of sequence \"s\" (8)");
        let round = sequence(-2, 1, 5, true);
        assert_eq!(advance("s", &round, start(&round), 5).unwrap().0, [5, 3, 1, 5, 3]);
        let edge = sequence(1, i64::MAX - 1, i64::MAX, false);
        let (values, state) = advance("s", &edge, start(&edge), 2).unwrap();
        assert_eq!(values, [i64::MAX - 1, i64::MAX]);
        assert!(advance("s", &edge, state, 1).is_err());
    }
}
