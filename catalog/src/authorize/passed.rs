//! Proof values on their way from the process that made them to an engine in another one.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Access, AuthorizedTable, ColumnMask, RowRules};
use crate::error::CatalogError;
use crate::model::{Relation, RelationName};

/// What a proof says. JSON: columns leave out what they do not have, which formats without names cannot.
#[derive(Serialize, Deserialize)]
struct Said<'a> {
    name: Cow<'a, RelationName>,
    relation: Cow<'a, Relation>,
    access: Access,
    row_rules: Option<Cow<'a, RowRules>>,
    masks: Cow<'a, [ColumnMask]>,
    visible_columns: Option<Cow<'a, [String]>>,
}

impl AuthorizedTable {
    /// For another process of the same cluster.
    ///
    /// # Errors
    /// [`CatalogError::Internal`].
    pub fn pass(&self) -> Result<Vec<u8>, CatalogError> {
        let said = Said {
            name: Cow::Borrowed(&self.name),
            relation: Cow::Borrowed(&self.relation),
            access: self.access,
            row_rules: self.row_rules.as_ref().map(Cow::Borrowed),
            masks: Cow::Borrowed(&self.masks),
            visible_columns: self.visible_columns.as_deref().map(Cow::Borrowed),
        };
        serde_json::to_vec(&said).map_err(CatalogError::internal)
    }

    /// The proof that another process of the cluster made and passed on. Nothing is checked again here, and nothing need be: the bytes are to be
    /// taken from a connection on which the peer has shown a gateway's certificate of this cluster and from nowhere else, and who has that
    /// certificate's key can make proofs anyway.
    ///
    /// # Errors
    /// [`CatalogError::Internal`] where the bytes are none that [`AuthorizedTable::pass`] made.
    pub fn taken_over(bytes: &[u8]) -> Result<AuthorizedTable, CatalogError> {
        let said: Said<'_> = serde_json::from_slice(bytes).map_err(CatalogError::internal)?;
        Ok(AuthorizedTable {
            name: said.name.into_owned(),
            relation: Arc::new(said.relation.into_owned()),
            access: said.access,
            row_rules: said.row_rules.map(Cow::into_owned),
            masks: said.masks.into_owned(),
            visible_columns: said.visible_columns.map(Cow::into_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authorize::open_program_table;
    use crate::governance::{Mask, Policy, PolicyCommand, PolicyExpression};
    use crate::model::{Column, PgType};

    #[test]
    fn a_proof_says_the_same_on_the_other_side() {
        let name = RelationName { database: "main".to_owned(), schema: "public".to_owned(), name: "t \"ü\"".to_owned() };
        let expression = PolicyExpression {
            text: "owner = current_user".to_owned(),
            table: "t".to_owned(),
            database: "main".to_owned(),
            search_path: vec!["public".to_owned()],
            reads: Vec::new(),
        };
        let masked = Mask { expression: expression.clone(), roles: vec![0] };
        let columns = vec![
            Column { not_null: true, default: Some("nextval('s')".to_owned()), ..Column::new("id", PgType::INT8) },
            Column { mask: Some(masked), ..Column::new("owner", PgType::varchar(20)) },
        ];
        let policy = Policy {
            oid: 20_000,
            name: "own".to_owned(),
            permissive: true,
            command: PolicyCommand::Select,
            roles: vec![0],
            using: Some(expression.clone()),
            check: None,
        };
        let table = AuthorizedTable {
            row_rules: Some(serde_json::from_value(serde_json::json!({ "policies": [policy] })).unwrap()),
            masks: vec![ColumnMask { column: "owner".to_owned(), expressions: vec![expression] }],
            visible_columns: Some(vec!["id".to_owned()]),
            access: Access::SELECT,
            ..open_program_table(&name, "file:///w/t/".to_owned(), columns, vec!["id".to_owned()])
        };
        let taken = AuthorizedTable::taken_over(&table.pass().unwrap()).unwrap();
        assert_eq!(taken.name(), table.name());
        assert_eq!(taken.relation(), table.relation());
        assert_eq!(taken.access(), table.access());
        assert_eq!(taken.row_rules(), table.row_rules());
        assert_eq!(taken.masks(), table.masks());
        assert_eq!(taken.visible_columns(), table.visible_columns());
        assert!(AuthorizedTable::taken_over(b"{}").is_err());
    }
}
