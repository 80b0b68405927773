//! What governs who sees which rows and values: tags, row-level security, masks. Plain types of the model; who they apply to is decided in
//! [`crate::authorize`].

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::{Oid, PUBLIC, ViewRead};

/// Key and value; a tag without a value has an empty one.
pub type Tags = BTreeMap<String, String>;

/// Of one object, as Databricks has it.
pub const TAGS_MAX: usize = 50;
/// Characters.
pub const TAG_KEY_MAX: usize = 255;
/// Characters.
pub const TAG_VALUE_MAX: usize = 1_000;

/// A policy's or a mask's expression: the text as it was written, and what its names mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyExpression {
    pub text: String,
    /// The table's name when it was written, by which the text may name its columns; empty for what is of no table.
    #[serde(default)]
    pub table: String,
    /// Where names without all their parts were looked for when it was written.
    pub database: String,
    pub search_path: Vec<String>,
    /// The relations that its subqueries name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<ViewRead>,
}

/// What a policy is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PolicyCommand {
    All,
    Select,
    Insert,
    Update,
    Delete,
}

impl PolicyCommand {
    /// As `pg_policies.cmd` shows it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            PolicyCommand::All => "ALL",
            PolicyCommand::Select => "SELECT",
            PolicyCommand::Insert => "INSERT",
            PolicyCommand::Update => "UPDATE",
            PolicyCommand::Delete => "DELETE",
        }
    }

    /// As `pg_policy.polcmd` shows it.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            PolicyCommand::All => '*',
            PolicyCommand::Select => 'r',
            PolicyCommand::Insert => 'a',
            PolicyCommand::Update => 'w',
            PolicyCommand::Delete => 'd',
        }
    }

    /// Whether a policy for this applies to what `command` does.
    #[must_use]
    pub fn covers(self, command: PolicyCommand) -> bool {
        self == PolicyCommand::All || self == command
    }
}

/// CREATE POLICY.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    pub oid: Oid,
    pub name: String,
    pub permissive: bool,
    pub command: PolicyCommand,
    /// [`PUBLIC`] alone, or roles.
    pub roles: Vec<Oid>,
    pub using: Option<PolicyExpression>,
    pub check: Option<PolicyExpression>,
}

impl Policy {
    /// What new rows must satisfy: WITH CHECK, else USING.
    #[must_use]
    pub fn checked(&self) -> Option<&PolicyExpression> {
        self.check.as_ref().or(self.using.as_ref())
    }

    #[must_use]
    pub fn is_for_public(&self) -> bool {
        self.roles.contains(&PUBLIC)
    }
}

/// Row-level security of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowSecurity {
    #[serde(default)]
    pub enabled: bool,
    /// The owner is subject to it, too.
    #[serde(default)]
    pub forced: bool,
    /// In order of name.
    #[serde(default)]
    pub policies: Vec<Policy>,
    /// Names that columns of the table had before they were renamed or dropped: by these a version from before would show what a mask
    /// hides now.
    #[serde(default)]
    pub former_columns: BTreeSet<String>,
}

impl RowSecurity {
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == RowSecurity::default()
    }

    #[must_use]
    pub fn policy(&self, name: &str) -> Option<&Policy> {
        self.policies.iter().find(|policy| policy.name == name)
    }
}

/// What others than the owner see in a column's place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mask {
    pub expression: PolicyExpression,
    /// The roles, members included, for which it is; [`PUBLIC`] alone: all.
    pub roles: Vec<Oid>,
}

/// CREATE MASKING POLICY … ON TAG: a mask of every column of the database that has the tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaskingPolicy {
    pub oid: Oid,
    pub name: String,
    pub owner: Oid,
    pub tag: String,
    /// `None`: whatever the tag's value.
    pub value: Option<String>,
    /// Names the column's value by [`MASKED_VALUE`].
    pub mask: Mask,
}

impl MaskingPolicy {
    #[must_use]
    pub fn binds(&self, tags: &Tags) -> bool {
        tags.get(&self.tag).is_some_and(|value| self.value.as_ref().is_none_or(|wanted| wanted == value))
    }
}

/// By which the expression of a mask names the column that it is for.
pub const MASKED_VALUE: &str = "value";

/// What an object beside its name has of these: the part of a database's or schema's row that is stored as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Governance {
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
    /// In order of name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub masking_policies: Vec<MaskingPolicy>,
}
