//! [`lakegate_engine_api::BoundStatement`] on its way.

use std::borrow::Cow;

use lakegate_engine_api::catalog::PgType;
use lakegate_engine_api::{EngineError, Work, plain};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Facts, Relation, levels_of};

#[derive(Debug, Serialize, Deserialize)]
pub struct Statement<'a> {
    #[serde(with = "plain::id")]
    pub statement_id: Uuid,
    pub work: Cow<'a, Work>,
    pub relations: Vec<Relation<'a>>,
    pub session: Facts<'a>,
    pub parameter_types: Cow<'a, [Option<PgType>]>,
    pub renewable: bool,
    pub keeps_rows_after: Option<u32>,
}

impl Statement<'_> {
    /// As [`levels_of`], of all its parts.
    ///
    /// # Errors
    /// As [`levels_of`].
    pub fn levels(&self) -> Result<usize, EngineError> {
        let work = match self.work.as_ref() {
            Work::Query(statement) | Work::Change { statement, .. } => levels_of(statement.as_ref())?,
            Work::CreateTableAs { query, .. } => levels_of(query.as_ref())?,
            Work::CopyFrom { .. } => 0,
        };
        self.relations.iter().try_fold(work, |most, relation| Ok(relation.levels()?.max(most)))
    }
}
