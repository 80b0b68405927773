//! COMMENT ON.

use super::relation::column_mut;
use crate::authorize::{Principal, require_owner};
use crate::catalog::Catalog;
use crate::error::CatalogError;
use crate::model::{Database, ObjectRef, Oid, Relation, Schema};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommentOn {
    Database(Oid),
    Schema(Oid),
    Relation(Oid),
    Column { relation: Oid, column: String },
}

impl Catalog {
    /// `None` or an empty text removes the comment.
    ///
    /// # Errors
    /// [`CatalogError::MustBeOwner`], [`CatalogError::Undefined`], [`CatalogError::UndefinedColumn`].
    pub async fn set_comment(&self, principal: &Principal, on: CommentOn, comment: Option<String>) -> Result<(), CatalogError> {
        let principal = *principal;
        let comment = comment.filter(|text| !text.is_empty());
        self.change(move |edit| {
            let object = match &on {
                CommentOn::Database(oid) => ObjectRef::Database(*oid),
                CommentOn::Schema(oid) => ObjectRef::Schema(*oid),
                CommentOn::Relation(oid) | CommentOn::Column { relation: oid, .. } => ObjectRef::Relation(*oid),
            };
            require_owner(&edit.snapshot, &principal, object)?;
            match on {
                CommentOn::Database(oid) => {
                    let changed = Database { comment, ..Database::clone(&*edit.database(oid)?) };
                    edit.put_database(changed);
                }
                CommentOn::Schema(oid) => {
                    let changed = Schema { comment, ..Schema::clone(&*edit.schema(oid)?) };
                    edit.put_schema(changed);
                }
                CommentOn::Relation(oid) => {
                    let changed = Relation { comment, ..Relation::clone(&*edit.relation(oid)?) };
                    edit.put_relation(changed);
                }
                CommentOn::Column { relation, column } => {
                    let mut changed = Relation::clone(&*edit.relation(relation)?);
                    column_mut(&mut changed, &column)?.comment = comment;
                    edit.put_relation(changed);
                }
            }
            Ok(())
        })
        .await
    }
}
