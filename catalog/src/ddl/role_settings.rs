//! ALTER ROLE and ALTER DATABASE … SET and RESET. Source: `AlterSetting` in `pg_db_role_setting.c`, `AlterRoleSet` in `user.c`.

use std::sync::Arc;

use super::edit::{Edit, Write};
use crate::authorize::{Principal, require_owner};
use crate::catalog::Catalog;
use crate::error::CatalogError;
use crate::model::{ObjectRef, Oid, RoleSettings};

/// What is done to the settings of a role, a database, or a role in a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingChange {
    /// Checked by the caller.
    Set {
        name: String,
        value: String,
    },
    Reset {
        name: String,
    },
    ResetAll,
}

impl Catalog {
    /// `role` `None`: of all roles; `database` `None`: in all databases.
    ///
    /// # Errors
    /// [`CatalogError::Forbidden`], [`CatalogError::MustBeOwner`] of the database.
    pub async fn change_role_settings(
        &self,
        principal: &Principal,
        role: Option<Oid>,
        database: Option<Oid>,
        change: SettingChange,
    ) -> Result<(), CatalogError> {
        let principal = *principal;
        self.change(move |edit| {
            check(edit, &principal, role, database)?;
            let place = (database.unwrap_or(0), role.unwrap_or(0));
            let mut settings = edit.snapshot.role_settings.get(&place).map(|known| known.settings.clone()).unwrap_or_default();
            match change {
                SettingChange::Set { name, value } => match settings.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, known)) => *known = value,
                    None => settings.push((name, value)),
                },
                SettingChange::Reset { name } => settings.retain(|(known, _)| *known != name),
                SettingChange::ResetAll => settings.clear(),
            }
            edit.write(Write::RoleSettings(Arc::new(RoleSettings { database: place.0, role: place.1, settings })));
            Ok(())
        })
        .await
    }
}

fn check(edit: &Edit, principal: &Principal, role: Option<Oid>, database: Option<Oid>) -> Result<(), CatalogError> {
    let me = edit.role(principal.current_role)?;
    if let Some(database) = database {
        edit.database(database)?;
    }
    match (role, database) {
        (Some(role), _) => {
            let target = edit.role(role)?;
            if target.superuser && !me.superuser {
                return Err(CatalogError::forbidden("must be superuser to alter superusers"));
            }
            if !me.superuser && !me.create_role && role != me.oid {
                return Err(CatalogError::forbidden("permission denied"));
            }
            Ok(())
        }
        (None, Some(database)) => require_owner(&edit.snapshot, principal, ObjectRef::Database(database)),
        (None, None) if me.superuser => Ok(()),
        (None, None) => Err(CatalogError::forbidden("must be superuser to alter settings globally")),
    }
}

/// They go with their role or database.
pub(super) fn drop_settings(edit: &mut Edit, goes: impl Fn(&RoleSettings) -> bool) {
    let gone: Vec<Arc<RoleSettings>> = edit.snapshot.role_settings().filter(|settings| goes(settings)).cloned().collect();
    for settings in gone {
        edit.write(Write::RoleSettings(Arc::new(RoleSettings { settings: Vec::new(), ..RoleSettings::clone(&settings) })));
    }
}
