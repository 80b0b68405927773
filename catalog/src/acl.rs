//! Access control lists, as PostgreSQL keeps them: one item a (grantee, grantor) pair, absent until the first change.
//!
//! Source: PostgreSQL `src/include/utils/acl.h`, `acldefault` and `aclupdate` in `src/backend/utils/adt/acl.c`.

use serde::{Deserialize, Serialize};

use crate::model::{DEFAULT_WAREHOUSE_OID, Grant, ObjectRef, Oid, PUBLIC, Privilege};

/// A set of [`Privilege`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Privileges(u16);

impl Privileges {
    pub const NONE: Privileges = Privileges(0);

    #[must_use]
    pub fn of(privileges: &[Privilege]) -> Privileges {
        privileges.iter().fold(Privileges::NONE, |set, privilege| set.with(*privilege))
    }

    #[must_use]
    pub fn with(self, privilege: Privilege) -> Privileges {
        Privileges(self.0 | bit(privilege))
    }

    #[must_use]
    pub fn contains(self, privilege: Privilege) -> bool {
        self.0 & bit(privilege) != 0
    }

    #[must_use]
    pub fn union(self, other: Privileges) -> Privileges {
        Privileges(self.0 | other.0)
    }

    #[must_use]
    pub fn intersection(self, other: Privileges) -> Privileges {
        Privileges(self.0 & other.0)
    }

    #[must_use]
    pub fn without(self, other: Privileges) -> Privileges {
        Privileges(self.0 & !other.0)
    }

    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// In the order of an `aclitem` (PostgreSQL's `ACL_ALL_RIGHTS_STR`).
    pub fn iter(self) -> impl Iterator<Item = Privilege> {
        Privilege::ALL.into_iter().filter(move |privilege| self.contains(*privilege))
    }
}

const fn bit(privilege: Privilege) -> u16 {
    1 << (privilege as u16)
}

impl Privilege {
    /// In the order of an `aclitem`.
    pub const ALL: [Privilege; 14] = [
        Privilege::Insert,
        Privilege::Select,
        Privilege::Update,
        Privilege::Delete,
        Privilege::Truncate,
        Privilege::References,
        Privilege::Trigger,
        Privilege::Execute,
        Privilege::Usage,
        Privilege::Create,
        Privilege::Temporary,
        Privilege::Connect,
        Privilege::ReadFiles,
        Privilege::WriteFiles,
    ];

    /// As GRANT spells it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Privilege::Select => "SELECT",
            Privilege::Insert => "INSERT",
            Privilege::Update => "UPDATE",
            Privilege::Delete => "DELETE",
            Privilege::Truncate => "TRUNCATE",
            Privilege::References => "REFERENCES",
            Privilege::Trigger => "TRIGGER",
            Privilege::Usage => "USAGE",
            Privilege::Create => "CREATE",
            Privilege::Connect => "CONNECT",
            Privilege::Temporary => "TEMPORARY",
            Privilege::ReadFiles => "READ FILES",
            Privilege::WriteFiles => "WRITE FILES",
            Privilege::Execute => "EXECUTE",
        }
    }

    /// The letter in an `aclitem`; `f` and `F` are Lakegate's.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Privilege::Select => 'r',
            Privilege::Insert => 'a',
            Privilege::Update => 'w',
            Privilege::Delete => 'd',
            Privilege::Truncate => 'D',
            Privilege::References => 'x',
            Privilege::Trigger => 't',
            Privilege::Usage => 'U',
            Privilege::Create => 'C',
            Privilege::Connect => 'c',
            Privilege::Temporary => 'T',
            Privilege::ReadFiles => 'f',
            Privilege::WriteFiles => 'F',
            Privilege::Execute => 'X',
        }
    }

    /// From the words of `has_table_privilege` and GRANT, any case; `TEMP` is `TEMPORARY`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Privilege> {
        let word = word.trim();
        if word.eq_ignore_ascii_case("TEMP") {
            return Some(Privilege::Temporary);
        }
        Privilege::ALL.into_iter().find(|privilege| privilege.word().eq_ignore_ascii_case(word))
    }
}

/// What can be granted on a column.
pub const COLUMN_PRIVILEGES: Privileges =
    Privileges(bit(Privilege::Select) | bit(Privilege::Insert) | bit(Privilege::Update) | bit(Privilege::References));

/// What ALL PRIVILEGES means on an object; of a relation, unless it is a sequence ([`SEQUENCE_PRIVILEGES`]).
#[must_use]
pub fn all_privileges(object: ObjectRef) -> Privileges {
    match object {
        ObjectRef::Database(_) => Privileges::of(&[Privilege::Create, Privilege::Connect, Privilege::Temporary]),
        ObjectRef::Schema(_) => Privileges::of(&[Privilege::Usage, Privilege::Create]),
        ObjectRef::Relation(_) => Privileges::of(&[
            Privilege::Select,
            Privilege::Insert,
            Privilege::Update,
            Privilege::Delete,
            Privilege::Truncate,
            Privilege::References,
            Privilege::Trigger,
        ]),
        ObjectRef::ExternalLocation(_) => Privileges::of(&[Privilege::ReadFiles, Privilege::WriteFiles]),
        ObjectRef::Warehouse(_) => Privileges::of(&[Privilege::Usage]),
    }
}

/// What ALL PRIVILEGES means on a sequence.
pub const SEQUENCE_PRIVILEGES: Privileges = Privileges(bit(Privilege::Usage) | bit(Privilege::Select) | bit(Privilege::Update));

/// One entry: what `grantor` gave to `grantee`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AclItem {
    /// A role or [`PUBLIC`].
    pub grantee: Oid,
    pub grantor: Oid,
    pub privileges: Privileges,
    /// The part of `privileges` held WITH GRANT OPTION.
    pub grantable: Privileges,
}

/// The access control list of one object.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Acl {
    pub items: Vec<AclItem>,
}

impl Acl {
    /// What an object has before anything was granted or revoked (`acldefault`).
    #[must_use]
    pub fn default_for(object: ObjectRef, owner: Oid) -> Acl {
        Acl::with_owner(object, owner, all_privileges(object))
    }

    /// The same with what the owner of such an object has.
    #[must_use]
    pub fn with_owner(object: ObjectRef, owner: Oid, all: Privileges) -> Acl {
        let mut acl = Acl::default();
        if matches!(object, ObjectRef::Database(_)) {
            acl.grant(PUBLIC, owner, Privileges::of(&[Privilege::Connect, Privilege::Temporary]), Privileges::NONE);
        }
        if object == ObjectRef::Warehouse(DEFAULT_WAREHOUSE_OID) {
            acl.grant(PUBLIC, owner, Privileges::of(&[Privilege::Usage]), Privileges::NONE);
        }
        acl.grant(owner, owner, all, Privileges::NONE);
        acl
    }

    /// Adds to the item of this grantee and grantor.
    pub fn grant(&mut self, grantee: Oid, grantor: Oid, privileges: Privileges, grantable: Privileges) {
        match self.items.iter_mut().find(|item| item.grantee == grantee && item.grantor == grantor) {
            Some(item) => {
                item.privileges = item.privileges.union(privileges);
                item.grantable = item.grantable.union(grantable);
            }
            None => self.items.push(AclItem { grantee, grantor, privileges: privileges.union(grantable), grantable }),
        }
    }

    /// Takes from the item of this grantee and grantor; `only_option` leaves the privilege itself.
    pub fn revoke(&mut self, grantee: Oid, grantor: Oid, privileges: Privileges, only_option: bool) {
        if let Some(item) = self.items.iter_mut().find(|item| item.grantee == grantee && item.grantor == grantor) {
            item.grantable = item.grantable.without(privileges);
            if !only_option {
                item.privileges = item.privileges.without(privileges);
            }
        }
        self.items.retain(|item| !item.privileges.is_empty());
    }

    /// What these grantees hold together, from any grantor.
    #[must_use]
    pub fn held_by(&self, holds: impl Fn(Oid) -> bool) -> Privileges {
        self.items.iter().filter(|item| holds(item.grantee)).fold(Privileges::NONE, |set, item| set.union(item.privileges))
    }

    /// What these grantees may grant on.
    #[must_use]
    pub fn grantable_by(&self, holds: impl Fn(Oid) -> bool) -> Privileges {
        self.items.iter().filter(|item| holds(item.grantee)).fold(Privileges::NONE, |set, item| set.union(item.grantable))
    }

    /// The new owner stands wherever the old one stood (`aclnewowner`).
    pub fn change_owner(&mut self, old: Oid, new: Oid) {
        let items = std::mem::take(&mut self.items);
        let swapped = |role: Oid| if role == old { new } else { role };
        for item in items {
            self.grant(swapped(item.grantee), swapped(item.grantor), item.privileges, item.grantable);
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Without what was granted to the role, and what it granted.
    pub fn forget(&mut self, role: Oid) {
        self.items.retain(|item| item.grantee != role && item.grantor != role);
    }

    /// Any mention of the role.
    #[must_use]
    pub fn mentions(&self, role: Oid) -> bool {
        self.items.iter().any(|item| item.grantee == role || item.grantor == role)
    }

    /// One row a privilege.
    pub fn grants(&self, object: ObjectRef) -> impl Iterator<Item = Grant> + '_ {
        self.items.iter().flat_map(move |item| {
            item.privileges.iter().map(move |privilege| Grant {
                object,
                grantee: item.grantee,
                grantor: item.grantor,
                privilege,
                grantable: item.grantable.contains(privilege),
            })
        })
    }
}
