//! Many rows of the log with few statements: each statement that is sent to the store costs more than the row it carries.

use std::collections::HashMap;

use sqlx::AnyConnection;

use super::rows::{Row, Value, bound, placed};
use crate::log_proof::RecordKind;
use crate::log_proof::chain::Chain;

/// Rows of one statement, at most. Numbers of rows are powers of two, so that few texts are prepared.
const ROWS_MAX: usize = 32;

/// Writes all rows as the next of the chain. False: they are not such as can be written together (an end that finds nothing to end, or
/// finds it twice), and part of them may be written; the transaction has to be rolled back, the chain is as it was.
pub(super) async fn write(rows: &[&Row], connection: &mut AnyConnection, chain: &mut Chain) -> Result<bool, sqlx::Error> {
    let mut next = chain.clone();
    let mut batch = Batch::default();
    for row in rows {
        let linked = next.next(row.kind(), row.values());
        if !batch.add(row.kind(), row.stored(&linked, &next)) {
            return Ok(false);
        }
        next.push(&linked);
    }
    if !batch.write(connection).await? {
        return Ok(false);
    }
    for row in rows {
        row.write_tokens(connection).await?;
    }
    *chain = next;
    Ok(true)
}

/// Values as they are stored, a row each.
#[derive(Default)]
struct Batch {
    starts: Vec<Vec<Value>>,
    /// Of statements that began before.
    ends: Vec<Vec<Value>>,
    /// Starts with their ends.
    whole: Vec<Vec<Value>>,
    events: Vec<Vec<Value>>,
    /// Where among the starts a statement is; `None`: its end was added.
    seen: HashMap<String, Option<usize>>,
}

impl Batch {
    fn add(&mut self, kind: RecordKind, values: Vec<Value>) -> bool {
        let id = match values.first() {
            Some(Value::Text(Some(id))) => id.clone(),
            _ => return false,
        };
        match kind {
            RecordKind::Event => self.events.push(values),
            RecordKind::Start => {
                if self.seen.insert(id, Some(self.starts.len())).is_some() {
                    return false;
                }
                self.starts.push(values);
            }
            RecordKind::End => match self.seen.insert(id, None) {
                Some(None) => return false,
                None => self.ends.push(values),
                Some(Some(at)) => {
                    let Some(start) = self.starts.get_mut(at) else { return false };
                    let start = std::mem::take(start);
                    self.whole.push(start.into_iter().chain(values.into_iter().skip(1)).collect());
                }
            },
        }
        true
    }

    async fn write(mut self, connection: &mut AnyConnection) -> Result<bool, sqlx::Error> {
        self.starts.retain(|values| !values.is_empty());
        for values in &mut self.starts {
            values.push(Value::Text(Some("RUNNING".to_owned())));
        }
        let starts: Vec<&str> = placed(RecordKind::Start).into_iter().chain(["execution_status"]).collect();
        let ends = placed(RecordKind::End);
        let whole: Vec<&str> = placed(RecordKind::Start).into_iter().chain(ends.iter().copied().skip(1)).collect();
        insert(connection, "statements", &starts, self.starts).await?;
        insert(connection, "statements", &whole, self.whole).await?;
        insert(connection, "audit_events", &placed(RecordKind::Event), self.events).await?;
        end(connection, &ends, self.ends).await
    }
}

async fn insert(connection: &mut AnyConnection, table: &str, columns: &[&str], rows: Vec<Vec<Value>>) -> Result<(), sqlx::Error> {
    for rows in portions(rows) {
        let sql = format!("INSERT INTO {table} ({}) VALUES {}", columns.join(", "), places(connection, rows.len(), columns.len()));
        bound(sql, rows.into_iter().flatten()).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Whether each row ended a statement that was running.
async fn end(connection: &mut AnyConnection, columns: &[&str], rows: Vec<Vec<Value>>) -> Result<bool, sqlx::Error> {
    let sets: Vec<String> = columns.iter().zip(1..).skip(1).map(|(column, n)| format!("{column} = ended.column{n}")).collect();
    for rows in portions(rows) {
        let count = rows.len();
        let sql = format!(
            "UPDATE statements SET {} FROM (VALUES {}) AS ended \
             WHERE statements.statement_id = ended.column1 AND statements.execution_status = 'RUNNING'",
            sets.join(", "),
            places(connection, count, columns.len())
        );
        let done = bound(sql, rows.into_iter().flatten()).execute(&mut *connection).await?;
        if done.rows_affected() != u64::try_from(count).unwrap_or(u64::MAX) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// In order; the largest first.
fn portions(mut rows: Vec<Vec<Value>>) -> Vec<Vec<Vec<Value>>> {
    let mut portions = Vec::new();
    while !rows.is_empty() {
        let size = ROWS_MAX.min(1 << rows.len().ilog2());
        let rest = rows.split_off(size);
        portions.push(std::mem::replace(&mut rows, rest));
    }
    portions
}

/// `(…), (…)`. SQLite looks numbered parameters up by their names, one after the other.
fn places(connection: &AnyConnection, rows: usize, columns: usize) -> String {
    let numbered = connection.backend_name() != "SQLite";
    let mut text = String::with_capacity(rows * columns * 7);
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..columns {
            text.push_str(if column == 0 { "" } else { ", " });
            if numbered {
                text.push_str(&format!("${}", row * columns + column + 1));
            } else {
                text.push('?');
            }
        }
        text.push(')');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portions_are_powers_of_two_and_keep_the_order() {
        let rows: Vec<Vec<Value>> = (0..75).map(|n: i64| vec![Value::from(n)]).collect();
        let portions = portions(rows.clone());
        assert_eq!(portions.iter().map(Vec::len).collect::<Vec<_>>(), [32, 32, 8, 2, 1]);
        assert_eq!(portions.into_iter().flatten().collect::<Vec<_>>(), rows);
    }
}
