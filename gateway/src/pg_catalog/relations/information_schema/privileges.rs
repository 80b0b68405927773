//! `table_privileges` and `column_privileges`: grants that the role gave, holds, or that everybody has.

use arrow_array::RecordBatch;
use lakegate_catalog::model::{Grant, ObjectRef, Oid, PUBLIC, Privilege, Relation};

use crate::pg_catalog::Context;
use crate::pg_catalog::cells::Columns;
use crate::pg_catalog::recorded::Recorded;
use crate::sqlstate::SqlError;

struct Row<'a> {
    relation: &'a Relation,
    schema: &'a str,
    grant: Grant,
    column: Option<&'a str>,
}

pub fn of_tables(relation: &'static Recorded, context: &Context<'_>) -> Result<Vec<RecordBatch>, SqlError> {
    let rows = granted(context);
    common(relation, context, &rows)
        .put("with_hierarchy", |row| if row.grant.privilege == Privilege::Select { "YES" } else { "NO" })
        .finish()
}

/// A grant on a table holds for each of its columns; others are on single ones.
pub fn of_columns(relation: &'static Recorded, context: &Context<'_>) -> Result<Vec<RecordBatch>, SqlError> {
    let on_columns =
        |row: &Row<'_>| matches!(row.grant.privilege, Privilege::Select | Privilege::Insert | Privilege::Update | Privilege::References);
    let mut rows: Vec<Row<'_>> = granted(context)
        .into_iter()
        .filter(on_columns)
        .flat_map(|row| {
            let Row { relation, schema, grant, .. } = row;
            relation.columns.iter().map(move |column| Row { relation, schema, grant: grant.clone(), column: Some(&column.name) })
        })
        .collect();
    let of_their_own = granted_on_columns(context);
    for row in of_their_own {
        let same = |known: &Row<'_>| {
            known.relation.oid == row.relation.oid
                && known.column == row.column
                && (known.grant.grantee, known.grant.grantor, known.grant.privilege)
                    == (row.grant.grantee, row.grant.grantor, row.grant.privilege)
        };
        match rows.iter_mut().find(|known| same(known)) {
            Some(known) => known.grant.grantable |= row.grant.grantable,
            None => rows.push(row),
        }
    }
    common(relation, context, &rows).put("column_name", |row| row.column).finish()
}

fn granted<'a>(context: &Context<'a>) -> Vec<Row<'a>> {
    let snapshot = context.snapshot;
    let role = context.principal.current_role;
    let concerns = |of: Oid| of == PUBLIC || snapshot.has_privileges_of(role, of);
    let mut rows = Vec::new();
    for relation in context.objects().stored().into_iter().filter(|relation| relation.sequence.is_none()) {
        let Some(schema) = snapshot.schema_by_oid(relation.schema) else { continue };
        let grants = snapshot.grants_on(ObjectRef::Relation(relation.oid)).into_iter();
        let shown = grants.filter(|grant| concerns(grant.grantee) || concerns(grant.grantor));
        rows.extend(shown.map(|grant| Row { relation, schema: &schema.name, grant, column: None }));
    }
    rows
}

fn granted_on_columns<'a>(context: &Context<'a>) -> Vec<Row<'a>> {
    let snapshot = context.snapshot;
    let role = context.principal.current_role;
    let concerns = |of: Oid| of == PUBLIC || snapshot.has_privileges_of(role, of);
    let mut rows = Vec::new();
    for relation in context.objects().stored() {
        let Some(schema) = snapshot.schema_by_oid(relation.schema) else { continue };
        for column in &relation.columns {
            let grants = column.acl.grants(ObjectRef::Relation(relation.oid));
            let shown = grants.filter(|grant| concerns(grant.grantee) || concerns(grant.grantor));
            rows.extend(shown.map(|grant| Row { relation, schema: &schema.name, grant, column: Some(&column.name) }));
        }
    }
    rows
}

fn common<'a>(relation: &'static Recorded, context: &Context<'_>, rows: &'a [Row<'a>]) -> Columns<'a, Row<'a>> {
    let snapshot = context.snapshot;
    let grantable = |row: &Row<'_>| row.grant.grantable || snapshot.has_privileges_of(row.grant.grantee, row.relation.owner);
    Columns::over(relation, rows)
        .put("grantor", |row| snapshot.role_name(row.grant.grantor))
        .put("grantee", |row| if row.grant.grantee == PUBLIC { "PUBLIC".to_owned() } else { snapshot.role_name(row.grant.grantee) })
        .all("table_catalog", context.database.to_owned())
        .put("table_schema", |row| row.schema)
        .put("table_name", |row| &row.relation.name)
        .put("privilege_type", |row| row.grant.privilege.word())
        .put("is_grantable", |row| if grantable(row) { "YES" } else { "NO" })
}
