//! TBLPROPERTIES: what a table's owner may say of it. Those that begin with `delta.` mean something to every Delta writer, so only those are
//! taken that mean it here, too; all others are the user's own.

use std::collections::BTreeMap;

use crate::sqlstate::{SqlError, SqlState};

enum Kind {
    Boolean,
    Count,
    Interval,
    Text,
}

const KNOWN: &[(&str, Kind)] = &[
    ("delta.appendOnly", Kind::Boolean),
    ("delta.autoOptimize.autoCompact", Kind::Boolean),
    ("delta.checkpointInterval", Kind::Count),
    ("delta.dataSkippingNumIndexedCols", Kind::Count),
    ("delta.dataSkippingStatsColumns", Kind::Text),
    ("delta.deletedFileRetentionDuration", Kind::Interval),
    ("delta.enableChangeDataFeed", Kind::Boolean),
    ("delta.enableDeletionVectors", Kind::Boolean),
    ("delta.enableExpiredLogCleanup", Kind::Boolean),
    ("delta.logRetentionDuration", Kind::Interval),
];

/// # Errors
/// 0A000 for properties of Delta that have no effect here, 22023 for values that are none, 42501 for Lakegate's own.
pub fn check(properties: &BTreeMap<String, String>) -> Result<(), SqlError> {
    for (name, value) in properties {
        if name.starts_with("lakegate.") {
            return Err(SqlError::new(SqlState::InsufficientPrivilege, format!("the table property {name} is Lakegate's own")));
        }
        if !name.starts_with("delta.") {
            continue;
        }
        let Some((_, kind)) = KNOWN.iter().find(|(known, _)| known == name) else {
            let known: Vec<&str> = KNOWN.iter().map(|(known, _)| *known).collect();
            return Err(SqlError::unsupported(format!("the table property {name}")).hint(format!("These are: {}.", known.join(", "))));
        };
        let fits = match kind {
            Kind::Boolean => value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false"),
            Kind::Count => value.parse::<i32>().is_ok(),
            Kind::Interval => {
                value.to_ascii_lowercase().strip_prefix("interval ").is_some_and(|rest| rest.split_whitespace().count() % 2 == 0)
            }
            Kind::Text => true,
        };
        if !fits {
            let wanted = match kind {
                Kind::Boolean => "true or false",
                Kind::Count => "a whole number",
                _ => "an interval, as in 'interval 7 days'",
            };
            return Err(SqlError::new(SqlState::InvalidParameterValue, format!("invalid value for table property {name}: \"{value}\""))
                .hint(format!("It takes {wanted}.")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn properties_that_mean_nothing_are_refused() {
        let one = |name: &str, value: &str| check(&[(name.to_owned(), value.to_owned())].into()).map_err(|error| error.state.code());
        assert_eq!(one("delta.appendOnly", "TRUE"), Ok(()));
        assert_eq!(one("delta.appendOnly", "1"), Err("22023"));
        assert_eq!(one("delta.logRetentionDuration", "interval 30 days"), Ok(()));
        assert_eq!(one("delta.logRetentionDuration", "30"), Err("22023"));
        assert_eq!(one("delta.randomizeFilePrefixes", "true"), Err("0A000"));
        assert_eq!(one("lakegate.depends_on", "1"), Err("42501"));
        assert_eq!(one("team", "sales"), Ok(()));
    }
}
