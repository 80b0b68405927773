//! Which driver a client speaks through, as far as its start-up packet gives it away. The protocol has no word for it: what tells is which
//! parameters a driver sends, in which order and spelling. Where several do alike, nothing is said.

/// `parameters`: in the order of the packet, user and database included. Recorded from the drivers that conformance/ runs.
#[must_use]
pub fn driver_of<'a>(parameters: &[(&'a str, &'a str)]) -> Option<&'static str> {
    let value = |name: &str| parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    match value("application_name") {
        Some("PostgreSQL JDBC Driver") => return Some("pgjdbc"),
        Some("postgres.js") => return Some("postgres.js"),
        Some("psql" | "pg_dump" | "pg_restore" | "pg_dumpall" | "pgbench") => return Some("libpq"),
        _ => {}
    }
    match parameters {
        [("client_encoding", "'utf-8'"), ("user", _), ..] => Some("asyncpg"),
        [("client_encoding", "UTF8"), ("user", _), ..] => Some("tokio-postgres"),
        _ => match (value("DateStyle"), value("TimeZone"), value("datestyle")) {
            (Some("ISO"), Some(_), _) if value("client_encoding") == Some("UTF8") => Some("pgjdbc"),
            (Some("ISO, MDY"), Some("UTC"), _) if value("client_encoding") == Some("UTF8") => Some("sqlx"),
            (_, _, Some("ISO, MDY")) if value("extra_float_digits") == Some("2") => Some("lib/pq"),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::driver_of;

    #[test]
    fn packets_as_drivers_send_them() {
        let (user, database, utf8) = (("user", "u"), ("database", "d"), ("client_encoding", "UTF8"));
        let jdbc = [user, database, utf8, ("DateStyle", "ISO"), ("TimeZone", "Etc/UTC"), ("extra_float_digits", "2")];
        assert_eq!(driver_of(&jdbc), Some("pgjdbc"));
        assert_eq!(driver_of(&[("client_encoding", "'utf-8'"), user, database]), Some("asyncpg"));
        assert_eq!(driver_of(&[utf8, user, database]), Some("tokio-postgres"));
        let sqlx = [user, database, ("DateStyle", "ISO, MDY"), utf8, ("TimeZone", "UTC"), ("extra_float_digits", "2")];
        assert_eq!(driver_of(&sqlx), Some("sqlx"));
        assert_eq!(driver_of(&[user, database, utf8, ("application_name", "postgres.js")]), Some("postgres.js"));
        assert_eq!(driver_of(&[user, database, ("application_name", "psql")]), Some("libpq"));
        // pg8000 and libpq without a name are alike, as are node-pg and libpq with an encoding.
        assert_eq!(driver_of(&[user, database]), None);
        assert_eq!(driver_of(&[user, database, utf8]), None);
    }
}
