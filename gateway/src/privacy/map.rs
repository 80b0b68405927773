//! Which tables hold a kind of subject, by which columns, and what an erasure does to their rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use lakegate_catalog::Snapshot;
use lakegate_catalog::authorize::{self, Principal};
use lakegate_catalog::model::{ObjectRef, Oid, PRIVACY_OID, PgType, Privilege, Relation, RelationKind, RelationName};

use crate::sql::parse::parse_expression;
use crate::sqlstate::{SqlError, SqlState};

pub const SUBJECT: &str = "subject";
pub const SUBJECT_VIA: &str = "subject_via";
pub const ERASE: &str = "erase";
pub const LEGAL_HOLD: &str = "legal_hold";

/// Types by which a subject is identified.
const IDENTIFYING: [PgType; 8] =
    [PgType::INT2, PgType::INT4, PgType::INT8, PgType::NUMERIC, PgType::TEXT, PgType::VARCHAR, PgType::BPCHAR, PgType::UUID];

/// All tables that a kind of subject is in, those whose rows are found through others first.
#[derive(Debug, Clone)]
pub struct SubjectMap {
    pub kind: String,
    pub tables: Vec<CoveredTable>,
}

#[derive(Debug, Clone)]
pub struct CoveredTable {
    pub name: RelationName,
    pub relation: Arc<Relation>,
    /// A row belongs to the subject if any of them says so.
    pub columns: Vec<SubjectColumn>,
    pub rule: Rule,
    pub legal_hold: bool,
    /// Steps to a column that identifies the subject itself.
    pub depth: usize,
}

#[derive(Debug, Clone)]
pub struct SubjectColumn {
    pub name: String,
    pub data_type: PgType,
    /// The table and column through which rows belong to the subject; `None`: the column identifies it.
    pub via: Option<(RelationName, String)>,
}

/// What an erasure does to the subject's rows of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    Delete,
    /// The rows stay; of these columns the value goes: NULL, or the text in its place.
    Columns(Vec<(String, Option<String>)>),
    /// A materialized view is filled anew from what its query reads.
    Refresh,
}

impl Rule {
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Rule::Delete => "delete row",
            Rule::Columns(_) => "replace columns",
            Rule::Refresh => "refresh",
        }
    }
}

impl SubjectMap {
    /// # Errors
    /// 42704 where no column is tagged with the kind; 55000 for tags that lead nowhere, in a circle, or to what cannot identify anybody.
    pub fn of(snapshot: &Snapshot, kind: &str) -> Result<Self, SqlError> {
        let mut found: BTreeMap<Oid, CoveredTable> = BTreeMap::new();
        for relation in snapshot.relations().filter(|relation| relation.is_stored()) {
            let Some(name) = snapshot.name_of(relation) else { continue };
            let direct = relation.columns.iter().filter(|column| column.tags.get(SUBJECT).is_some_and(|kinds| names_kind(kinds, kind)));
            let columns: Vec<SubjectColumn> =
                direct.map(|column| SubjectColumn { name: column.name.clone(), data_type: column.data_type, via: None }).collect();
            if !columns.is_empty() {
                let legal_hold = is_held(snapshot, relation);
                let rule = rule(relation);
                found.insert(relation.oid, CoveredTable { name, relation: Arc::clone(relation), columns, rule, legal_hold, depth: 0 });
            }
        }
        if found.is_empty() {
            return Err(SqlError::new(SqlState::UndefinedObject, format!("no column is tagged as subject \"{kind}\""))
                .hint(format!("ALTER TABLE … ALTER COLUMN … SET TAGS ('subject' = '{}').", kind.replace('\'', "''"))));
        }
        add_via(snapshot, &mut found)?;
        for table in found.values() {
            check_types(table)?;
        }
        let mut tables: Vec<CoveredTable> = found.into_values().collect();
        tables.sort_by(|a, b| b.depth.cmp(&a.depth).then_with(|| a.name.cmp(&b.name)));
        Ok(SubjectMap { kind: kind.to_owned(), tables })
    }

    #[must_use]
    pub fn table(&self, name: &RelationName) -> Option<&CoveredTable> {
        self.tables.iter().find(|table| table.name == *name)
    }
}

fn names_kind(kinds: &str, kind: &str) -> bool {
    kinds.split(',').any(|one| one.trim() == kind)
}

/// Tables that lead to those found, and so on.
fn add_via(snapshot: &Snapshot, found: &mut BTreeMap<Oid, CoveredTable>) -> Result<(), SqlError> {
    let mut links: Vec<(Arc<Relation>, String, PgType, RelationName, String)> = Vec::new();
    for relation in snapshot.relations().filter(|relation| relation.is_stored()) {
        for column in &relation.columns {
            if let Some(path) = column.tags.get(SUBJECT_VIA) {
                let (table, target) = target_of(snapshot, relation, &column.name, path)?;
                links.push((Arc::clone(relation), column.name.clone(), column.data_type, table, target));
            }
        }
    }
    // Longest way to a column that identifies: each round goes one step further.
    for round in 0..=links.len() {
        let mut changed = false;
        for (relation, column, data_type, table, target) in &links {
            let Some(parent) = snapshot.relation_by_name(table).and_then(|parent| found.get(&parent.oid)) else { continue };
            let depth = parent.depth + 1;
            let Some(name) = snapshot.name_of(relation) else { continue };
            let entry = found.entry(relation.oid).or_insert_with(|| CoveredTable {
                name,
                relation: Arc::clone(relation),
                columns: Vec::new(),
                rule: rule(relation),
                legal_hold: is_held(snapshot, relation),
                depth: 0,
            });
            if !entry.columns.iter().any(|known| known.name == *column && known.via.is_some()) {
                let via = Some((table.clone(), target.clone()));
                entry.columns.push(SubjectColumn { name: column.clone(), data_type: *data_type, via });
                changed = true;
            }
            if entry.depth < depth {
                entry.depth = depth;
                changed = true;
            }
        }
        if !changed {
            return Ok(());
        }
        if round == links.len() {
            break;
        }
    }
    Err(SqlError::new(SqlState::ObjectNotInPrerequisiteState, "tags subject_via lead in a circle"))
}

/// `[[database.]schema.]table.column`, from the table's own schema on.
fn target_of(snapshot: &Snapshot, relation: &Relation, column: &str, path: &str) -> Result<(RelationName, String), SqlError> {
    let wrong = |why: &str| {
        SqlError::new(
            SqlState::ObjectNotInPrerequisiteState,
            format!("tag subject_via of column \"{column}\" of table \"{}\" {why}", relation.name),
        )
        .hint("It names a column: 'table.column'.")
    };
    let parts: Vec<String> = match parse_expression(path) {
        Ok(sqlparser::ast::Expr::CompoundIdentifier(parts)) => parts.iter().map(crate::sql::grammar::fold).collect(),
        _ => return Err(wrong("is not a name of a column")),
    };
    let own = snapshot.name_of(relation).ok_or_else(|| wrong("is of a table that is gone"))?;
    let (table, target) = match parts.as_slice() {
        [table, target] => (RelationName { name: table.clone(), ..own }, target),
        [schema, table, target] => (RelationName { schema: schema.clone(), name: table.clone(), ..own }, target),
        [database, schema, table, target] => {
            (RelationName { database: database.clone(), schema: schema.clone(), name: table.clone() }, target)
        }
        _ => return Err(wrong("is not a name of a column")),
    };
    let parent = snapshot.relation_by_name(&table).filter(|parent| parent.is_stored()).ok_or_else(|| wrong("names no table"))?;
    if !parent.columns.iter().any(|column| column.name == *target) {
        return Err(wrong("names no column of that table"));
    }
    Ok((table, target.clone()))
}

fn check_types(table: &CoveredTable) -> Result<(), SqlError> {
    for column in &table.columns {
        if !IDENTIFYING.iter().any(|known| known.oid == column.data_type.oid) {
            let text = format!("column \"{}\" of table \"{}\" cannot identify a subject", column.name, table.name);
            return Err(SqlError::new(SqlState::ObjectNotInPrerequisiteState, text)
                .detail("Subjects are identified by whole numbers, numeric, text and uuid."));
        }
    }
    Ok(())
}

/// By the table's columns: those with a tag `erase` lose their value and the row stays; otherwise the row goes.
fn rule(relation: &Relation) -> Rule {
    if relation.kind == RelationKind::MaterializedView {
        return Rule::Refresh;
    }
    let replaced: Vec<(String, Option<String>)> = relation
        .columns
        .iter()
        .filter_map(|column| {
            let text = column.tags.get(ERASE)?;
            Some((column.name.clone(), text.strip_prefix("replace:").map(str::to_owned)))
        })
        .collect();
    if replaced.is_empty() { Rule::Delete } else { Rule::Columns(replaced) }
}

fn is_held(snapshot: &Snapshot, relation: &Relation) -> bool {
    let held = |tags: &lakegate_catalog::governance::Tags| tags.get(LEGAL_HOLD).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let schema = snapshot.schema_by_oid(relation.schema);
    held(&relation.tags)
        || schema.is_some_and(|schema| held(&schema.tags))
        || schema.and_then(|schema| snapshot.database(schema.database)).is_some_and(|database| held(&database.governance.tags))
}

/// # Errors
/// 42501 for all but superusers and members of `lakegate_privacy`.
pub fn require_officer(snapshot: &Snapshot, principal: &Principal) -> Result<(), SqlError> {
    if snapshot.has_privileges_of(principal.current_role, PRIVACY_OID) {
        return Ok(());
    }
    Err(SqlError::new(SqlState::InsufficientPrivilege, "permission denied to look for data subjects")
        .detail("Must be superuser or member of role \"lakegate_privacy\".")
        .hint("GRANT lakegate_privacy TO …"))
}

/// Masks and row policies do not apply to what is done for a subject; privileges do, on each table.
///
/// # Errors
/// 42501.
pub fn require_access(snapshot: &Snapshot, principal: &Principal, map: &SubjectMap, privilege: Privilege) -> Result<(), SqlError> {
    for table in &map.tables {
        authorize::check(snapshot, principal, ObjectRef::Relation(table.relation.oid), privilege)?;
    }
    Ok(())
}
