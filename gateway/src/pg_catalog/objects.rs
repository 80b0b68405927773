//! What a role sees of one database, system relations included: the rows behind `pg_namespace`, `pg_class` and `pg_attribute`.

use std::collections::HashMap;
use std::sync::LazyLock;

use lakegate_catalog::Snapshot;
use lakegate_catalog::acl::Acl;
use lakegate_catalog::authorize::{self, may_see};
use lakegate_catalog::model::{
    BOOTSTRAP_ROLE_OID, Constraint, Database, INFORMATION_SCHEMA_OID, Identity, Index, ObjectRef, Oid, PG_CATALOG_OID, PgType, Relation,
    RelationKind, Schema,
};
use lakegate_engine_api::pg_type;

use super::only::{self, Only};
use super::recorded::{self, Recorded};
use super::{INFORMATION_SCHEMA, PG_CATALOG};
use crate::sql::bind::SYSTEM_DATABASE;
use crate::sql::temporary::is_temporary;

/// Database `system` and what it holds are numbered among the OIDs that PostgreSQL leaves to initdb.
pub const SYSTEM_DATABASE_OID: Oid = 15_000;
const SYSTEM_SCHEMA_OIDS: Oid = 15_001;
const SYSTEM_TABLE_OIDS: Oid = 15_100;

/// A schema.
#[derive(Debug, Clone)]
pub struct Namespace<'a> {
    pub oid: Oid,
    pub name: &'a str,
    pub owner: Oid,
    pub acl: Option<Vec<String>>,
    pub comment: Option<&'a str>,
}

/// A relation of any kind.
#[derive(Debug, Clone)]
pub struct Class<'a> {
    pub oid: Oid,
    pub name: &'a str,
    pub schema: Oid,
    pub row_type: Oid,
    pub owner: Oid,
    /// `relkind`.
    pub kind: &'static str,
    pub source: ClassSource<'a>,
}

#[derive(Debug, Clone, Copy)]
pub enum ClassSource<'a> {
    Stored(&'a Relation),
    Recorded(&'static Recorded),
    /// A PRIMARY KEY or UNIQUE constraint, which clients look for as an index; it has the constraint's OID.
    Key(&'a Relation, &'a Constraint),
    /// Of CREATE INDEX.
    Index(&'a Relation, &'a Index),
    /// A table of database `system`, by its place in [`crate::system::RELATIONS`].
    Server(&'static (&'static str, &'static str)),
}

/// A column.
#[derive(Debug, Clone)]
pub struct Attribute<'a> {
    pub relation: Oid,
    pub number: i16,
    pub name: std::borrow::Cow<'a, str>,
    pub data_type: PgType,
    pub not_null: bool,
    /// Of a generated column its expression.
    pub default: Option<&'a str>,
    pub identity: Option<Identity>,
    pub generated: bool,
    /// What was granted on it alone.
    pub acl: Option<&'a Acl>,
}

/// What `pg_attribute` repeats of `pg_type`.
#[derive(Debug, Clone)]
pub struct TypeFacts {
    pub name: String,
    pub schema: Oid,
    pub length: i16,
    pub by_value: bool,
    pub alignment: String,
    pub storage: String,
    pub collation: Oid,
    pub category: String,
    /// What a domain is made of.
    pub base: Option<PgType>,
}

/// One role's view of one database.
#[derive(Debug, Clone, Copy)]
pub struct Objects<'a> {
    pub snapshot: &'a Snapshot,
    pub role: Oid,
    pub database: &'a str,
    /// The session's schema of temporary tables: those of others are not shown.
    pub temporary: Option<&'a str>,
    /// Where these are enough, those that [`Objects::stored`] and [`Objects::classes`] give; others may be among them.
    pub only: Option<&'a Only>,
}

impl<'a> Objects<'a> {
    /// The database, where it is one of the catalog's and the role may connect to it.
    #[must_use]
    pub fn stored_database(&self) -> Option<&'a Database> {
        let database = self.snapshot.database_by_name(self.database)?;
        may_see(self.snapshot, self.role, ObjectRef::Database(database.oid)).then_some(&**database)
    }

    /// Schemas in order of OID.
    #[must_use]
    pub fn namespaces(&self) -> Vec<Namespace<'a>> {
        let mut all = self.built_in_namespaces();
        if let Some(database) = self.stored_database() {
            all.extend(self.snapshot.schemas_in_database(database.oid).filter_map(|schema| self.stored_namespace(schema)));
        }
        all.sort_by_key(|schema| schema.oid);
        all
    }

    fn built_in_namespaces(&self) -> Vec<Namespace<'a>> {
        let owner = self.snapshot.role_name(BOOTSTRAP_ROLE_OID);
        let built_in = |oid, name, comment| {
            let acl = Some(vec![format!("{owner}=UC/{owner}"), format!("=U/{owner}")]);
            Namespace { oid, name, owner: BOOTSTRAP_ROLE_OID, acl, comment }
        };
        let mut all = vec![
            built_in(PG_CATALOG_OID, PG_CATALOG, Some("system catalog schema")),
            built_in(INFORMATION_SCHEMA_OID, INFORMATION_SCHEMA, None),
        ];
        if self.database == SYSTEM_DATABASE {
            all.extend(server_schemas().into_iter().map(|(oid, name)| built_in(oid, name, None)));
        }
        all
    }

    #[must_use]
    pub fn namespace(&self, oid: Oid) -> Option<Namespace<'a>> {
        if let Some(schema) = self.snapshot.schema_by_oid(oid) {
            return self.stored_namespace(schema);
        }
        self.built_in_namespaces().into_iter().find(|schema| schema.oid == oid)
    }

    #[must_use]
    pub fn namespace_named(&self, name: &str) -> Option<Namespace<'a>> {
        if let Some(schema) = self.snapshot.database_by_name(self.database).and_then(|database| self.snapshot.schema(database.oid, name)) {
            return self.stored_namespace(schema);
        }
        self.built_in_namespaces().into_iter().find(|schema| schema.name == name)
    }

    fn stored_namespace(&self, schema: &'a Schema) -> Option<Namespace<'a>> {
        let visible = self.stored_database().is_some_and(|database| database.oid == schema.database)
            && !self.is_of_another_session(schema)
            && may_see(self.snapshot, self.role, ObjectRef::Schema(schema.oid));
        visible.then(|| Namespace {
            oid: schema.oid,
            name: &schema.name,
            owner: schema.owner,
            acl: self.snapshot.acl_texts(ObjectRef::Schema(schema.oid)),
            comment: schema.comment.as_deref(),
        })
    }

    /// Relations that users made, then those of database `system`.
    #[must_use]
    pub fn user_classes(&self) -> Vec<Class<'a>> {
        let mut all: Vec<Class<'a>> = Vec::new();
        for relation in self.stored() {
            all.push(stored_class(relation));
            all.extend(keys(relation).map(|key| key_class(relation, key)));
            all.extend(relation.indexes.iter().map(|index| index_class(relation, index)));
        }
        if self.database == SYSTEM_DATABASE {
            all.extend(server_classes());
        }
        all
    }

    /// Tables and views of the catalog, schema by schema.
    #[must_use]
    pub fn stored(&self) -> Vec<&'a Relation> {
        if let Some(only) = self.only {
            return only::stored(self, only);
        }
        let Some(database) = self.stored_database() else { return Vec::new() };
        self.snapshot
            .schemas_in_database(database.oid)
            .filter(|schema| !self.is_of_another_session(schema))
            .flat_map(|schema| authorize::visible_relations(self.snapshot, self.role, schema.oid))
            .map(|relation| &**relation)
            .collect()
    }

    /// Everything that `pg_class` lists.
    #[must_use]
    pub fn classes(&self) -> Vec<Class<'a>> {
        let mut all: Vec<Class<'a>> =
            recorded::relations().iter().map(recorded_class).filter(|class| self.only.is_none_or(|only| only.is(class))).collect();
        all.extend(self.user_classes());
        all
    }

    /// A relation of this database by its OID.
    #[must_use]
    pub fn class(&self, oid: Oid) -> Option<Class<'a>> {
        if let Some(relation) = recorded::relation_by_oid(oid) {
            return Some(recorded_class(relation));
        }
        if self.database == SYSTEM_DATABASE {
            return server_classes().into_iter().find(|class| class.oid == oid);
        }
        if let Some(relation) = self.snapshot.relation_by_oid(oid) {
            return self.visible(relation).map(stored_class);
        }
        if let Some(relation) = self.snapshot.relation_of_index(oid) {
            let index = relation.indexes.iter().find(|index| index.oid == oid)?;
            return self.visible(relation).map(|relation| index_class(relation, index));
        }
        let relation = self.visible(self.snapshot.relation_of_constraint(oid)?)?;
        keys(relation).find(|key| key.oid == oid).map(|key| key_class(relation, key))
    }

    /// The relation that has this row type.
    #[must_use]
    pub fn class_of_row_type(&self, row_type: Oid) -> Option<Class<'a>> {
        if let Some(relation) = self.snapshot.relation_by_type(row_type) {
            return self.visible(relation).map(stored_class);
        }
        server_classes().into_iter().find(|class| class.row_type == row_type && self.database == SYSTEM_DATABASE)
    }

    /// A relation of this database by schema and name.
    #[must_use]
    pub fn class_named(&self, schema: &str, name: &str) -> Option<Class<'a>> {
        if let Some(relation) = recorded::relation(schema, name) {
            return Some(recorded_class(relation));
        }
        if self.database == SYSTEM_DATABASE {
            let schema = server_schema(schema)?;
            return server_classes().into_iter().find(|class| class.schema == schema && class.name == name);
        }
        let database = self.snapshot.database_by_name(self.database)?;
        let schema = self.snapshot.schema(database.oid, schema)?;
        if let Some(relation) = self.snapshot.relation(schema.oid, name) {
            return self.visible(relation).map(stored_class);
        }
        let of_constraints = self.snapshot.relations_with_constraint(schema.oid, name).filter_map(|relation| self.visible(relation));
        let key =
            of_constraints.flat_map(|relation| keys(relation).map(move |key| key_class(relation, key))).find(|class| class.name == name);
        key.or_else(|| {
            let relation = self.visible(self.snapshot.relation_with_index(schema.oid, name)?)?;
            relation.indexes.iter().find(|index| index.name == name).map(|index| index_class(relation, index))
        })
    }

    fn is_of_another_session(&self, schema: &Schema) -> bool {
        is_temporary(&schema.name) && self.temporary != Some(schema.name.as_str())
    }

    /// A stored relation, where it belongs to this database and the role may see it.
    #[must_use]
    pub fn visible(&self, relation: &'a Relation) -> Option<&'a Relation> {
        let schema = self.snapshot.schema_by_oid(relation.schema)?;
        let database = self.stored_database()?;
        let sees = |object| may_see(self.snapshot, self.role, object);
        (schema.database == database.oid
            && !self.is_of_another_session(schema)
            && sees(ObjectRef::Schema(schema.oid))
            && sees(ObjectRef::Relation(relation.oid)))
        .then_some(relation)
    }
}

impl<'a> Class<'a> {
    #[must_use]
    pub fn stored(&self) -> Option<&'a Relation> {
        match self.source {
            ClassSource::Stored(relation) => Some(relation),
            _ => None,
        }
    }

    #[must_use]
    pub fn attributes(&self) -> Vec<Attribute<'a>> {
        let relation = self.oid;
        match self.source {
            ClassSource::Stored(stored) if stored.sequence.is_some() => SEQUENCE_COLUMNS
                .iter()
                .zip(1..)
                .map(|((name, data_type), number)| Attribute {
                    relation,
                    number,
                    name: (*name).into(),
                    data_type: *data_type,
                    not_null: true,
                    default: None,
                    identity: None,
                    generated: false,
                    acl: None,
                })
                .collect(),
            ClassSource::Stored(stored) => (1..)
                .zip(&stored.columns)
                .map(|(number, column)| Attribute {
                    relation,
                    number,
                    name: column.name.as_str().into(),
                    data_type: column.data_type,
                    not_null: column.not_null,
                    default: if column.identity.is_some() { None } else { column.generated.as_deref().or(column.default.as_deref()) },
                    identity: column.identity,
                    generated: column.generated.is_some(),
                    acl: Some(&column.acl).filter(|acl| !acl.is_empty()),
                })
                .collect(),
            ClassSource::Index(table, index) => (1..)
                .zip(index.columns.iter().filter_map(|column| table.column(&column.name)))
                .map(|(number, (_, column))| Attribute {
                    relation,
                    number,
                    name: column.name.as_str().into(),
                    data_type: column.data_type,
                    not_null: false,
                    default: None,
                    identity: None,
                    generated: false,
                    acl: None,
                })
                .collect(),
            ClassSource::Key(table, key) => (1..)
                .zip(key_columns(key).iter().filter_map(|name| table.column(name)))
                .map(|(number, (_, column))| Attribute {
                    relation,
                    number,
                    name: column.name.as_str().into(),
                    data_type: column.data_type,
                    not_null: false,
                    default: None,
                    identity: None,
                    generated: false,
                    acl: None,
                })
                .collect(),
            ClassSource::Recorded(recorded) => (1..)
                .zip(&recorded.columns)
                .map(|(number, column)| Attribute {
                    relation,
                    number,
                    name: column.name.as_str().into(),
                    data_type: PgType {
                        oid: column.declared_type,
                        typmod: if column.declared_type == column.data_type.oid { column.data_type.typmod } else { -1 },
                    },
                    not_null: column.not_null,
                    default: None,
                    identity: None,
                    generated: false,
                    acl: None,
                })
                .collect(),
            ClassSource::Server((schema, table)) => {
                let Some(fields) = crate::system::schema(schema, table) else { return Vec::new() };
                let column = |(number, field): (i16, &arrow_schema::FieldRef)| Attribute {
                    relation,
                    number,
                    name: field.name().clone().into(),
                    data_type: pg_type(field),
                    not_null: false,
                    default: None,
                    identity: None,
                    generated: false,
                    acl: None,
                };
                (1..).zip(fields.fields()).map(column).collect()
            }
        }
    }

    #[must_use]
    pub fn column_count(&self) -> usize {
        match self.source {
            ClassSource::Stored(relation) if relation.sequence.is_some() => SEQUENCE_COLUMNS.len(),
            ClassSource::Stored(relation) => relation.columns.len(),
            ClassSource::Recorded(relation) => relation.columns.len(),
            ClassSource::Key(_, key) => key_columns(key).len(),
            ClassSource::Index(_, index) => index.columns.len(),
            ClassSource::Server((schema, table)) => crate::system::schema(schema, table).map_or(0, |schema| schema.fields().len()),
        }
    }
}

/// What a sequence is as a relation.
pub const SEQUENCE_COLUMNS: [(&str, PgType); 3] = [("last_value", PgType::INT8), ("log_cnt", PgType::INT8), ("is_called", PgType::BOOL)];

/// PRIMARY KEY and UNIQUE constraints.
pub fn keys(relation: &Relation) -> impl Iterator<Item = &Constraint> {
    relation.constraints.iter().filter(|constraint| constraint.kind.is_index())
}

/// Names of the columns of a key; none for a CHECK.
#[must_use]
pub fn key_columns(constraint: &Constraint) -> &[String] {
    constraint.kind.columns()
}

/// What PostgreSQL knows of a type; `None` for row types and unknown ones.
#[must_use]
pub fn type_facts(oid: Oid) -> Option<&'static TypeFacts> {
    TYPES.get(&oid)
}

/// A built-in type by name.
#[must_use]
pub fn type_named(name: &str) -> Option<(Oid, &'static TypeFacts)> {
    let oid = TYPE_NAMES.get(name)?;
    Some((*oid, TYPES.get(oid)?))
}

static TYPE_NAMES: LazyLock<HashMap<&'static str, Oid>> =
    LazyLock::new(|| TYPES.iter().map(|(oid, facts)| (facts.name.as_str(), *oid)).collect());

static TYPES: LazyLock<HashMap<Oid, TypeFacts>> = LazyLock::new(|| {
    let fact = |line: &[Option<String>], name: &str| {
        let at = recorded::relation(PG_CATALOG, "pg_type")?.columns.iter().position(|column| column.name == name)?;
        line.get(at)?.clone()
    };
    let number = |line: &[Option<String>], name: &str| fact(line, name)?.parse::<Oid>().ok();
    recorded::lines("pg_type")
        .filter_map(|line| {
            Some((
                number(&line, "oid")?,
                TypeFacts {
                    name: fact(&line, "typname")?,
                    schema: number(&line, "typnamespace")?,
                    length: fact(&line, "typlen")?.parse().ok()?,
                    by_value: fact(&line, "typbyval")? == "t",
                    alignment: fact(&line, "typalign")?,
                    storage: fact(&line, "typstorage")?,
                    collation: number(&line, "typcollation")?,
                    category: fact(&line, "typcategory")?,
                    base: match number(&line, "typbasetype")? {
                        0 => None,
                        oid => Some(PgType { oid, typmod: fact(&line, "typtypmod")?.parse().ok()? }),
                    },
                },
            ))
        })
        .collect()
});

fn stored_class(relation: &Relation) -> Class<'_> {
    Class {
        oid: relation.oid,
        name: &relation.name,
        schema: relation.schema,
        row_type: relation.type_oid,
        owner: relation.owner,
        kind: match relation.kind {
            RelationKind::View => "v",
            RelationKind::MaterializedView => "m",
            RelationKind::Sequence => "S",
            RelationKind::ManagedTable | RelationKind::ExternalTable => "r",
        },
        source: ClassSource::Stored(relation),
    }
}

fn key_class<'a>(relation: &'a Relation, key: &'a Constraint) -> Class<'a> {
    let source = ClassSource::Key(relation, key);
    Class { oid: key.oid, name: &key.name, schema: relation.schema, row_type: 0, owner: relation.owner, kind: "i", source }
}

fn index_class<'a>(relation: &'a Relation, index: &'a Index) -> Class<'a> {
    let source = ClassSource::Index(relation, index);
    Class { oid: index.oid, name: &index.name, schema: relation.schema, row_type: 0, owner: relation.owner, kind: "i", source }
}

fn recorded_class(relation: &'static Recorded) -> Class<'static> {
    Class {
        oid: relation.oid,
        name: relation.name,
        schema: if relation.schema_name == PG_CATALOG { PG_CATALOG_OID } else { INFORMATION_SCHEMA_OID },
        row_type: relation.row_type,
        owner: BOOTSTRAP_ROLE_OID,
        kind: relation.kind,
        source: ClassSource::Recorded(relation),
    }
}

/// Schemas of database `system`, in order of first mention.
fn server_schemas() -> Vec<(Oid, &'static str)> {
    let mut names: Vec<&'static str> = Vec::new();
    for (schema, _) in crate::system::RELATIONS {
        if !names.contains(schema) && *schema != INFORMATION_SCHEMA {
            names.push(schema);
        }
    }
    (SYSTEM_SCHEMA_OIDS..).zip(names).collect()
}

/// Some of its tables stand in the schema that every database has.
fn server_schema(name: &str) -> Option<Oid> {
    if name == INFORMATION_SCHEMA {
        return Some(INFORMATION_SCHEMA_OID);
    }
    server_schemas().into_iter().find(|(_, own)| *own == name).map(|(oid, _)| oid)
}

fn server_classes() -> Vec<Class<'static>> {
    (SYSTEM_TABLE_OIDS..)
        .step_by(2)
        .zip(crate::system::RELATIONS)
        .filter_map(|(oid, relation)| {
            let schema = server_schema(relation.0)?;
            let source = ClassSource::Server(relation);
            Some(Class { oid, name: relation.1, schema, row_type: oid + 1, owner: BOOTSTRAP_ROLE_OID, kind: "r", source })
        })
        .collect()
}
