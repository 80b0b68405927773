//! tokio-postgres against a server.

use std::ops::Deref;

use tokio::task::JoinSet;
use tokio_postgres::{Config, SimpleQueryMessage};

use crate::Result;
use crate::server::Server;
use crate::tls::{Tls, client_config};

/// A connection; closed when dropped.
#[derive(Debug)]
pub struct Client {
    client: tokio_postgres::Client,
    _connection: JoinSet<()>,
}

impl Deref for Client {
    type Target = tokio_postgres::Client;

    fn deref(&self) -> &tokio_postgres::Client {
        &self.client
    }
}

impl Client {
    /// As `admin` in `main`, over TLS.
    ///
    /// # Errors
    /// If the login fails.
    pub async fn admin(server: &Server) -> Result<Client> {
        Client::login(server, "admin", &server.admin_password, "main").await
    }

    /// # Errors
    /// If the login fails.
    pub async fn login(server: &Server, user: &str, password: &str, database: &str) -> Result<Client> {
        let mut config = Config::new();
        config.host("127.0.0.1").port(server.port).user(user).password(password).dbname(database);
        config.ssl_mode(tokio_postgres::config::SslMode::Require).application_name("e2e");
        Client::connect(&config).await
    }

    /// # Errors
    /// If the connection fails.
    pub async fn connect(config: &Config) -> Result<Client> {
        let (client, connection) = config.connect(Tls(client_config(&[])?)).await?;
        let mut task = JoinSet::new();
        task.spawn(async move {
            let _ = connection.await;
        });
        Ok(Client { client, _connection: task })
    }

    /// Rows of a simple query as text, NULL as `∅`.
    ///
    /// # Errors
    /// As the server says.
    pub async fn rows(&self, sql: &str) -> Result<Vec<Vec<String>>, tokio_postgres::Error> {
        let messages = self.client.simple_query(sql).await?;
        let row = |message| match message {
            SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|index| row.get(index).unwrap_or("∅").to_owned()).collect::<Vec<_>>()),
            _ => None,
        };
        Ok(messages.into_iter().filter_map(row).collect())
    }

    /// The one value of a query's one row, as text.
    ///
    /// # Errors
    /// As the server says, or if there is not exactly one value.
    pub async fn value(&self, sql: &str) -> Result<String> {
        match self.rows(sql).await?.as_slice() {
            [row] => match row.as_slice() {
                [value] => Ok(value.clone()),
                _ => Err(format!("{} columns: {sql}", row.len()).into()),
            },
            rows => Err(format!("{} rows: {sql}", rows.len()).into()),
        }
    }

    /// The SQLSTATE that a simple query fails with; `00000` if it does not.
    pub async fn sqlstate(&self, sql: &str) -> String {
        match self.client.simple_query(sql).await {
            Ok(_) => "00000".to_owned(),
            Err(error) => sqlstate_of(&error),
        }
    }
}

/// The SQLSTATE of an error; the error's own text where the server sent none.
#[must_use]
pub fn sqlstate_of(error: &tokio_postgres::Error) -> String {
    error.code().map_or_else(|| format!("{error:?}"), |code| code.code().to_owned())
}
