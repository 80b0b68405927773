//! CREATE and DROP EXTERNAL LOCATION.

use std::sync::Arc;

use super::check_name;
use super::schema::qualified;
use crate::authorize::{NormalUrl, Principal, is_protected, normalise_url, overlap, require_owner};
use crate::catalog::Catalog;
use crate::error::{CatalogError, ObjectKind};
use crate::model::{ExternalLocation, ObjectRef, Oid, RelationKind};

impl Catalog {
    /// For superusers. Locations must not overlap each other, so that exactly one decides about a file, nor the places that the
    /// server keeps for itself.
    ///
    /// # Errors
    /// [`CatalogError::Forbidden`], [`CatalogError::Duplicate`], [`CatalogError::InvalidParameter`].
    pub async fn create_external_location(
        &self,
        principal: &Principal,
        name: &str,
        url: &str,
    ) -> Result<Arc<ExternalLocation>, CatalogError> {
        let (principal, name) = (*principal, name.to_owned());
        let url = normalise_url(url)?.directory();
        self.change(move |edit| {
            if !edit.snapshot.is_superuser(principal.current_role) {
                return Err(CatalogError::forbidden("must be superuser to create external locations"));
            }
            check_name(ObjectKind::ExternalLocation, &name)?;
            if edit.snapshot.external_location_by_name(&name).is_some() {
                return Err(CatalogError::Duplicate { kind: ObjectKind::ExternalLocation, name });
            }
            if is_protected(&edit.snapshot, &url) {
                return Err(CatalogError::parameter("the URL overlaps the server's own storage"));
            }
            if let Some(other) = edit.snapshot.external_locations().find(|other| overlap(&as_url(other), &url)) {
                return Err(CatalogError::parameter(format!("the URL overlaps external location \"{}\"", other.name)));
            }
            let oid = edit.new_oid()?;
            Ok(edit.put_location(ExternalLocation { oid, name, url: url.to_string(), owner: principal.current_role }))
        })
        .await
    }

    /// # Errors
    /// [`CatalogError::MustBeOwner`], [`CatalogError::DependentObjects`] while tables are registered under it.
    pub async fn drop_external_location(&self, principal: &Principal, location: Oid) -> Result<(), CatalogError> {
        let principal = *principal;
        self.change(move |edit| {
            let old = edit.location(location)?;
            require_owner(&edit.snapshot, &principal, ObjectRef::ExternalLocation(location))?;
            let dependents: Vec<String> = edit
                .snapshot
                .relations()
                .filter(|relation| relation.kind == RelationKind::ExternalTable)
                .filter(|relation| normalise_url(&relation.location).is_ok_and(|url| as_url(&old).contains(&url)))
                .map(|relation| format!("table {} depends on external location {}", qualified(&edit.snapshot, relation), old.name))
                .collect();
            if !dependents.is_empty() {
                return Err(CatalogError::DependentObjects {
                    message: format!("cannot drop external location {} because other objects depend on it", old.name),
                    dependents,
                    hint: None,
                });
            }
            edit.drop_location(location);
            Ok(())
        })
        .await
    }
}

fn as_url(location: &ExternalLocation) -> NormalUrl {
    NormalUrl::stored(&location.url)
}
