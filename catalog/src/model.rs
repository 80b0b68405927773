//! The plain types of the control plane. No I/O; shared with the engine contract.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::acl::Acl;
use crate::governance::{Governance, Mask, RowSecurity, Tags};

/// An object identifier as PostgreSQL clients see it: stable for the life of the object, never reused.
pub type Oid = u32;

/// First OID given to objects that users create, as in PostgreSQL (`FirstNormalObjectId`).
pub const FIRST_NORMAL_OID: Oid = 16_384;
/// `pg_catalog`, as PostgreSQL numbers it.
pub const PG_CATALOG_OID: Oid = 11;
/// `information_schema` in every database.
pub const INFORMATION_SCHEMA_OID: Oid = 13_000;

/// A PostgreSQL type with its modifier (`typmod`; -1 means none), e.g. numeric(10,2) or varchar(20).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PgType {
    pub oid: Oid,
    pub typmod: i32,
}

impl PgType {
    pub const BOOL: PgType = PgType::plain(16);
    pub const BYTEA: PgType = PgType::plain(17);
    pub const CHAR: PgType = PgType::plain(18);
    pub const NAME: PgType = PgType::plain(19);
    pub const INT8: PgType = PgType::plain(20);
    pub const INT2: PgType = PgType::plain(21);
    pub const INT2VECTOR: PgType = PgType::plain(22);
    pub const INT4: PgType = PgType::plain(23);
    pub const REGPROC: PgType = PgType::plain(24);
    pub const TEXT: PgType = PgType::plain(25);
    pub const OID: PgType = PgType::plain(26);
    pub const XID: PgType = PgType::plain(28);
    pub const OIDVECTOR: PgType = PgType::plain(30);
    pub const JSON: PgType = PgType::plain(114);
    pub const PG_NODE_TREE: PgType = PgType::plain(194);
    pub const FLOAT4: PgType = PgType::plain(700);
    pub const FLOAT8: PgType = PgType::plain(701);
    pub const UNKNOWN: PgType = PgType::plain(705);
    pub const ACLITEM: PgType = PgType::plain(1033);
    pub const BPCHAR: PgType = PgType::plain(1042);
    pub const VARCHAR: PgType = PgType::plain(1043);
    pub const DATE: PgType = PgType::plain(1082);
    pub const TIME: PgType = PgType::plain(1083);
    pub const TIMESTAMP: PgType = PgType::plain(1114);
    pub const TIMESTAMPTZ: PgType = PgType::plain(1184);
    pub const INTERVAL: PgType = PgType::plain(1186);
    pub const NUMERIC: PgType = PgType::plain(1700);
    pub const REGCLASS: PgType = PgType::plain(2205);
    pub const REGTYPE: PgType = PgType::plain(2206);
    pub const RECORD: PgType = PgType::plain(2249);
    pub const VOID: PgType = PgType::plain(2278);
    pub const UUID: PgType = PgType::plain(2950);
    pub const JSONB: PgType = PgType::plain(3802);
    pub const REGNAMESPACE: PgType = PgType::plain(4089);
    pub const REGROLE: PgType = PgType::plain(4096);

    /// The type without a modifier.
    #[must_use]
    pub const fn plain(oid: Oid) -> PgType {
        PgType { oid, typmod: -1 }
    }

    /// `numeric(precision, scale)`; the modifier is packed as `numeric_typmod_in` does.
    #[must_use]
    pub const fn numeric(precision: u8, scale: i8) -> PgType {
        PgType { oid: 1700, typmod: (((precision as i32) << 16) | ((scale as i32) & 0x7ff)) + 4 }
    }

    /// `varchar(length)`, length in characters.
    #[must_use]
    pub const fn varchar(length: i32) -> PgType {
        PgType { oid: 1043, typmod: length + 4 }
    }

    /// `char(length)`, length in characters.
    #[must_use]
    pub const fn bpchar(length: i32) -> PgType {
        PgType { oid: 1042, typmod: length + 4 }
    }

    /// Precision and scale of a `numeric(p, s)`.
    #[must_use]
    pub fn numeric_precision_scale(self) -> Option<(u8, i8)> {
        let packed = self.typmod.checked_sub(4).filter(|packed| self.oid == 1700 && *packed >= 0)?;
        let scale = i8::try_from(((packed & 0x7ff) ^ 1024) - 1024).ok()?;
        Some((u8::try_from((packed >> 16) & 0xffff).ok()?, scale))
    }

    /// Length in characters of a `varchar(n)` or `char(n)`.
    #[must_use]
    pub fn character_length(self) -> Option<i32> {
        ((self.oid == 1043 || self.oid == 1042) && self.typmod >= 4).then(|| self.typmod - 4)
    }

    /// How many digits of a second's fraction a `timestamp(n)`, `timestamptz(n)` or `time(n)` keeps, where that is fewer than six.
    #[must_use]
    pub fn fractional_digits(self) -> Option<u32> {
        matches!(self.oid, 1083 | 1114 | 1184).then_some(self.typmod).filter(|digits| (0..6).contains(digits)).map(i32::unsigned_abs)
    }

    /// The array type over an element type, where PostgreSQL has one that we use.
    #[must_use]
    pub fn array_of(element: Oid) -> Option<Oid> {
        ARRAY_TYPES.iter().find(|(of, _)| *of == element).map(|(_, array)| *array)
    }

    /// The element type of an array type.
    #[must_use]
    pub fn element_of(array: Oid) -> Option<Oid> {
        ARRAY_TYPES.iter().find(|(_, of)| *of == array).map(|(element, _)| *element)
    }
}

/// (element, array) as in PostgreSQL 15's `pg_type`.
const ARRAY_TYPES: &[(Oid, Oid)] = &[
    (16, 1000),
    (17, 1001),
    (18, 1002),
    (19, 1003),
    (20, 1016),
    (21, 1005),
    (22, 1006),
    (23, 1007),
    (24, 1008),
    (25, 1009),
    (26, 1028),
    (28, 1011),
    (30, 1013),
    (114, 199),
    (700, 1021),
    (701, 1022),
    (1033, 1034),
    (1042, 1014),
    (1043, 1015),
    (1082, 1182),
    (1083, 1183),
    (1114, 1115),
    (1184, 1185),
    (1186, 1187),
    (1700, 1231),
    (2205, 2210),
    (2206, 2211),
    (2249, 2287),
    (2950, 2951),
    (3802, 3807),
];

/// A login or group role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    pub oid: Oid,
    pub name: String,
    pub superuser: bool,
    pub login: bool,
    pub create_db: bool,
    pub create_role: bool,
    /// Privileges of the roles it is a member of apply without SET ROLE.
    pub inherit: bool,
    /// Row-level security does not hold for it.
    pub bypass_rls: bool,
    /// -1 means no limit.
    pub connection_limit: i32,
    /// Seconds since the epoch after which its password is refused.
    pub valid_until: Option<i64>,
}

/// The superuser made at first start; PostgreSQL's `BOOTSTRAP_SUPERUSERID`.
pub const BOOTSTRAP_ROLE_OID: Oid = 10;
/// Predefined role whose members read every row and text of `system.query.history`.
pub const READ_HISTORY_OID: Oid = 9_001;
/// Predefined role whose members read every row of `system.access.audit`.
pub const READ_AUDIT_OID: Oid = 9_002;
/// Predefined role whose members find, export and erase data subjects, with the privileges that they have on the tables.
pub const PRIVACY_OID: Oid = 9_003;

/// PostgreSQL's predefined roles, under its numbers.
pub const PG_MONITOR_OID: Oid = 3373;
pub const PG_READ_ALL_SETTINGS_OID: Oid = 3374;
pub const PG_READ_ALL_STATS_OID: Oid = 3375;
pub const PG_SIGNAL_BACKEND_OID: Oid = 4200;
pub const PG_READ_ALL_DATA_OID: Oid = 6181;
pub const PG_WRITE_ALL_DATA_OID: Oid = 6182;

/// `member` belongs to `role`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Membership {
    pub role: Oid,
    pub member: Oid,
    pub admin: bool,
    /// Who made it so.
    pub grantor: Oid,
}

/// Settings that a session starts with: of a role, of a database, or of a role in a database; 0 stands for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleSettings {
    pub database: Oid,
    pub role: Oid,
    /// Name and value as SET takes it, in the order in which they were first set.
    pub settings: Vec<(String, String)>,
}

/// What `pg_default_acl` says of objects to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefaultAcl {
    pub oid: Oid,
    pub database: Oid,
    /// Who makes the objects.
    pub role: Oid,
    /// 0: in every schema.
    pub schema: Oid,
    pub kind: DefaultAclKind,
    pub acl: Acl,
}

/// What default privileges are of, by the letters of `pg_default_acl.defaclobjtype`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DefaultAclKind {
    Tables,
    Sequences,
    Functions,
    Types,
    Schemas,
}

impl DefaultAclKind {
    pub const ALL: [DefaultAclKind; 5] =
        [DefaultAclKind::Tables, DefaultAclKind::Sequences, DefaultAclKind::Functions, DefaultAclKind::Types, DefaultAclKind::Schemas];

    #[must_use]
    pub const fn letter(self) -> &'static str {
        match self {
            DefaultAclKind::Tables => "r",
            DefaultAclKind::Sequences => "S",
            DefaultAclKind::Functions => "f",
            DefaultAclKind::Types => "T",
            DefaultAclKind::Schemas => "n",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    pub oid: Oid,
    pub name: String,
    pub owner: Oid,
    /// -1 means no limit.
    pub connection_limit: i32,
    pub comment: Option<String>,
    pub governance: Governance,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    pub oid: Oid,
    pub database: Oid,
    pub name: String,
    pub owner: Oid,
    pub comment: Option<String>,
    pub tags: Tags,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RelationKind {
    /// Delta table under the warehouse root; dropping it deletes its files.
    ManagedTable,
    /// Delta table under an external location; dropping it leaves its files.
    ExternalTable,
    View,
    /// A view whose rows are kept in a Delta table under the warehouse root.
    MaterializedView,
    Sequence,
}

/// Property of a view: OIDs of the relations that it names, with commas between.
pub const VIEW_DEPENDS_ON: &str = "lakegate.depends_on";

/// Property of a view, `true` or `false` as it was set.
pub const SECURITY_INVOKER: &str = "security_invoker";

/// Property of a view, `true` or `false` as it was set.
pub const SECURITY_BARRIER: &str = "security_barrier";

/// What `CREATE VIEW … WITH (…)` can set.
pub const VIEW_OPTIONS: [&str; 2] = [SECURITY_BARRIER, SECURITY_INVOKER];

/// A table or a view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relation {
    pub oid: Oid,
    /// OID of its row type in `pg_type`.
    pub type_oid: Oid,
    pub schema: Oid,
    pub name: String,
    pub owner: Oid,
    pub kind: RelationKind,
    /// Root URL of the Delta table, `file:///…/` or `s3://…/`; empty for a view.
    pub location: String,
    /// In order; positions (`attnum`) count from 1 in this order.
    pub columns: Vec<Column>,
    /// Names of the partition columns, in order.
    pub partition_columns: Vec<String>,
    pub constraints: Vec<Constraint>,
    /// The query of a view, as the user wrote it.
    pub definition: Option<String>,
    pub comment: Option<String>,
    /// `ALTER TABLE … SET (…)` / TBLPROPERTIES.
    pub properties: BTreeMap<String, String>,
    /// CREATE INDEX, in order of making.
    pub indexes: Vec<Index>,
    /// Of a sequence.
    pub sequence: Option<Sequence>,
    pub tags: Tags,
    pub row_security: RowSecurity,
}

/// Property of a view: what the names in its text mean, as JSON of a list of [`ViewRead`].
pub const VIEW_READS: &str = "lakegate.reads";

/// A relation that a view's text names. The text stays as it was written; relations and columns that were renamed since are found by this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewRead {
    /// Parts of the name in the text, folded.
    pub name: Vec<String>,
    pub oid: Oid,
    /// The columns that the relation had when the text was written: name in the text, name now. Dropped ones are not in it.
    pub columns: Vec<(String, String)>,
}

/// What a sequence counts. Its state is stored beside the catalog's objects: it changes without a change of the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequence {
    pub data_type: PgType,
    pub start: i64,
    pub increment: i64,
    pub min: i64,
    pub max: i64,
    pub cache: i64,
    pub cycle: bool,
    /// Table and column that it belongs to: it goes with them.
    pub owned_by: Option<(Oid, String)>,
    /// It is an identity column's, which alone may change it.
    pub of_identity: bool,
}

/// A CREATE INDEX.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    pub oid: Oid,
    pub name: String,
    /// Informational.
    pub unique: bool,
    /// Access method as it was named.
    pub method: String,
    pub columns: Vec<IndexColumn>,
    pub comment: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexColumn {
    pub name: String,
    pub descending: bool,
    pub nulls_first: bool,
    /// Where another than the type's default was named, e.g. `text_pattern_ops`. Informational.
    #[serde(default)]
    pub operator_class: Option<String>,
}

/// GENERATED … AS IDENTITY.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Identity {
    Always,
    ByDefault,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    pub data_type: PgType,
    pub not_null: bool,
    /// SQL text of the DEFAULT expression; of an identity column the call that gives its values.
    pub default: Option<String>,
    pub comment: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// GENERATED ALWAYS AS (…) STORED: the expression's SQL text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generated: Option<String>,
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<Mask>,
    /// What was granted on it alone (`attacl`); its owner needs no entry.
    #[serde(default, skip_serializing_if = "Acl::is_empty")]
    pub acl: Acl,
}

impl Column {
    #[must_use]
    pub fn new(name: impl Into<String>, data_type: PgType) -> Column {
        Column {
            name: name.into(),
            data_type,
            not_null: false,
            default: None,
            comment: None,
            identity: None,
            generated: None,
            tags: Tags::new(),
            mask: None,
            acl: Acl::default(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Constraint {
    pub oid: Oid,
    pub name: String,
    pub kind: ConstraintKind,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConstraintKind {
    /// Enforced on every write; the expression's SQL text.
    Check(String),
    /// Informational: column names.
    PrimaryKey(Vec<String>),
    /// Informational: column names.
    Unique(Vec<String>),
    /// Informational.
    ForeignKey(ForeignKey),
}

/// `FOREIGN KEY (columns) REFERENCES table (referenced)`; the actions are letters as in `pg_constraint` (`a` NO ACTION, `r` RESTRICT,
/// `c` CASCADE, `n` SET NULL, `d` SET DEFAULT), `matching` too (`s` SIMPLE, `f` FULL).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignKey {
    pub columns: Vec<String>,
    pub table: Oid,
    pub referenced: Vec<String>,
    pub on_update: char,
    pub on_delete: char,
    pub matching: char,
    pub deferrable: bool,
    pub initially_deferred: bool,
}

impl ConstraintKind {
    /// Columns that a key names; none for a CHECK.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        match self {
            ConstraintKind::PrimaryKey(columns) | ConstraintKind::Unique(columns) => columns,
            ConstraintKind::ForeignKey(key) => &key.columns,
            ConstraintKind::Check(_) => &[],
        }
    }

    pub(crate) fn columns_mut(&mut self) -> Option<&mut Vec<String>> {
        match self {
            ConstraintKind::PrimaryKey(columns) | ConstraintKind::Unique(columns) => Some(columns),
            ConstraintKind::ForeignKey(key) => Some(&mut key.columns),
            ConstraintKind::Check(_) => None,
        }
    }

    /// A PRIMARY KEY or UNIQUE constraint, which clients look for as an index.
    #[must_use]
    pub fn is_index(&self) -> bool {
        matches!(self, ConstraintKind::PrimaryKey(_) | ConstraintKind::Unique(_))
    }
}

impl Relation {
    #[must_use]
    pub fn is_view(&self) -> bool {
        self.kind == RelationKind::View
    }

    /// A view that reads with the rights of who asks (`security_invoker`).
    #[must_use]
    pub fn is_security_invoker(&self) -> bool {
        self.properties.get(SECURITY_INVOKER).is_some_and(|value| value == "true")
    }

    /// A view whose rows the conditions of a statement see only once the view has left some out (`security_barrier`).
    #[must_use]
    pub fn is_security_barrier(&self) -> bool {
        self.properties.get(SECURITY_BARRIER).is_some_and(|value| value == "true")
    }

    /// OIDs of the relations that a view names.
    pub fn depends_on(&self) -> impl Iterator<Item = Oid> {
        self.properties.get(VIEW_DEPENDS_ON).into_iter().flat_map(|list| list.split(',')).filter_map(|oid| oid.parse().ok())
    }

    /// What the names in a view's text mean; `None` for views made before this was recorded.
    #[must_use]
    pub fn view_reads(&self) -> Option<Vec<ViewRead>> {
        serde_json::from_str(self.properties.get(VIEW_READS)?).ok()
    }

    pub(crate) fn set_view_reads(&mut self, reads: &[ViewRead]) {
        if let Ok(text) = serde_json::to_string(reads) {
            self.properties.insert(VIEW_READS.to_owned(), text);
        }
    }

    /// The new owner stands in the lists of its columns where the old one stood.
    pub(crate) fn change_owner(&mut self, owner: Oid) {
        let old = std::mem::replace(&mut self.owner, owner);
        self.columns.iter_mut().for_each(|column| column.acl.change_owner(old, owner));
    }

    /// Its rows lie in a Delta table.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        matches!(self.kind, RelationKind::ManagedTable | RelationKind::ExternalTable | RelationKind::MaterializedView)
    }

    /// The Delta table goes with it.
    #[must_use]
    pub fn owns_files(&self) -> bool {
        matches!(self.kind, RelationKind::ManagedTable | RelationKind::MaterializedView)
    }

    /// Position from 0 and column.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<(usize, &Column)> {
        self.columns.iter().enumerate().find(|(_, column)| column.name == name)
    }
}

/// A URL prefix under which tables of other systems may be registered and files copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalLocation {
    pub oid: Oid,
    pub name: String,
    /// Normalised, ends in `/`.
    pub url: String,
    pub owner: Oid,
}

/// The warehouse of sessions that name none. It is always there.
pub const DEFAULT_WAREHOUSE_OID: Oid = 9_010;
pub const DEFAULT_WAREHOUSE: &str = "default";

/// Where statements run, and under which limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warehouse {
    pub oid: Oid,
    pub name: String,
    pub owner: Oid,
    pub limits: WarehouseLimits,
}

/// `None`: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct WarehouseLimits {
    /// Statements that work at once.
    pub max_concurrency: Option<u32>,
    /// Statements that wait for one of them to end.
    pub queue_limit: Option<u32>,
    pub statement_timeout_ms: Option<u64>,
}

/// What a grant names. A sequence is a relation; its privileges are others than a table's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectRef {
    Database(Oid),
    Schema(Oid),
    Relation(Oid),
    ExternalLocation(Oid),
    Warehouse(Oid),
}

/// PostgreSQL's privileges, with its one-letter codes in ACLs; `ReadFiles` and `WriteFiles` are Lakegate's, for external locations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Privilege {
    Select,
    Insert,
    Update,
    Delete,
    Truncate,
    References,
    Trigger,
    Usage,
    Create,
    Connect,
    Temporary,
    ReadFiles,
    WriteFiles,
    Execute,
}

/// The pseudo-role PUBLIC in grants.
pub const PUBLIC: Oid = 0;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub object: ObjectRef,
    /// [`PUBLIC`] or a role.
    pub grantee: Oid,
    pub grantor: Oid,
    pub privilege: Privilege,
    pub grantable: bool,
}

/// Three-part name of a relation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RelationName {
    pub database: String,
    pub schema: String,
    pub name: String,
}

impl std::fmt::Display for RelationName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.database, self.schema, self.name)
    }
}

/// A shared string, for names that many rows carry.
pub type Name = Arc<str>;
