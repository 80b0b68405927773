//! CREATE, ALTER and DROP WAREHOUSE.

use std::sync::Arc;

use super::check_name;
use super::database::check_new_owner;
use super::edit::Write;
use crate::authorize::{Principal, require_owner};
use crate::catalog::Catalog;
use crate::error::{CatalogError, ObjectKind};
use crate::model::{DEFAULT_WAREHOUSE_OID, ObjectRef, Oid, Warehouse, WarehouseLimits};

/// What ALTER WAREHOUSE does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WarehouseChange {
    Limits(WarehouseLimits),
    Rename(String),
    Owner(Oid),
}

impl Catalog {
    /// For superusers; the default one is there from the start.
    ///
    /// # Errors
    /// [`CatalogError::Forbidden`], [`CatalogError::Duplicate`], [`CatalogError::InvalidName`].
    pub async fn create_warehouse(
        &self,
        principal: &Principal,
        name: &str,
        limits: WarehouseLimits,
    ) -> Result<Arc<Warehouse>, CatalogError> {
        let (principal, name) = (*principal, name.to_owned());
        self.change(move |edit| {
            if !edit.snapshot.is_superuser(principal.current_role) {
                return Err(CatalogError::forbidden("must be superuser to create warehouses"));
            }
            check_name(ObjectKind::Warehouse, &name)?;
            if edit.snapshot.warehouse_by_name(&name).is_some() {
                return Err(CatalogError::Duplicate { kind: ObjectKind::Warehouse, name });
            }
            let oid = edit.new_oid()?;
            Ok(edit.put_warehouse(Warehouse { oid, name, owner: principal.current_role, limits }))
        })
        .await
    }

    /// # Errors
    /// [`CatalogError::MustBeOwner`], [`CatalogError::Duplicate`]; [`CatalogError::Forbidden`]: another name for the default warehouse, or
    /// an owner that the principal is no member of.
    pub async fn alter_warehouse(&self, principal: &Principal, warehouse: Oid, change: WarehouseChange) -> Result<(), CatalogError> {
        let principal = *principal;
        self.change(move |edit| {
            let old = edit.warehouse(warehouse)?;
            let object = ObjectRef::Warehouse(warehouse);
            require_owner(&edit.snapshot, &principal, object)?;
            let mut changed = Warehouse::clone(&old);
            match &change {
                WarehouseChange::Limits(limits) => changed.limits = *limits,
                WarehouseChange::Rename(_) if warehouse == DEFAULT_WAREHOUSE_OID => {
                    return Err(CatalogError::forbidden("the default warehouse keeps its name"));
                }
                WarehouseChange::Rename(name) => {
                    check_name(ObjectKind::Warehouse, name)?;
                    if edit.snapshot.warehouse_by_name(name).is_some_and(|other| other.oid != warehouse) {
                        return Err(CatalogError::Duplicate { kind: ObjectKind::Warehouse, name: name.clone() });
                    }
                    changed.name.clone_from(name);
                }
                WarehouseChange::Owner(owner) => {
                    check_new_owner(edit, &principal, *owner)?;
                    edit.change_acl_owner(object, old.owner, *owner);
                    changed.owner = *owner;
                }
            }
            edit.put_warehouse(changed);
            Ok(())
        })
        .await
    }

    /// # Errors
    /// [`CatalogError::MustBeOwner`]; [`CatalogError::Forbidden`]: the default warehouse.
    pub async fn drop_warehouse(&self, principal: &Principal, warehouse: Oid) -> Result<(), CatalogError> {
        let principal = *principal;
        self.change(move |edit| {
            edit.warehouse(warehouse)?;
            require_owner(&edit.snapshot, &principal, ObjectRef::Warehouse(warehouse))?;
            if warehouse == DEFAULT_WAREHOUSE_OID {
                return Err(CatalogError::forbidden("the default warehouse cannot be dropped"));
            }
            edit.write(Write::DropWarehouse(warehouse));
            Ok(())
        })
        .await
    }
}
