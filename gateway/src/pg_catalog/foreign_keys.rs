//! Foreign keys as `pg_get_constraintdef` prints them.

use lakegate_catalog::model::ForeignKey;
use lakegate_engine_api::CatalogLookup;

use super::lookup::{SessionLookup, quoted};

impl SessionLookup {
    pub(super) fn foreign_key_text(&self, key: &ForeignKey) -> String {
        let list = |columns: &[String]| columns.iter().map(|column| quoted(column)).collect::<Vec<_>>().join(", ");
        let objects = self.objects();
        let table = self.snapshot.relation_by_oid(key.table).and_then(|table| objects.visible(table));
        // Of a table that the role may not see, its number, as regclass shows it.
        let referenced = table.map_or_else(
            || key.table.to_string(),
            |table| {
                let schema = self.snapshot.schema_by_oid(table.schema).map(|schema| quoted(&schema.name)).unwrap_or_default();
                let name = quoted(&table.name);
                let name = if self.relation_is_visible(table.oid) { name } else { format!("{schema}.{name}") };
                format!("{name}({})", list(&key.referenced))
            },
        );
        let action = |event: &str, letter: char| match letter {
            'r' => format!(" ON {event} RESTRICT"),
            'c' => format!(" ON {event} CASCADE"),
            'n' => format!(" ON {event} SET NULL"),
            'd' => format!(" ON {event} SET DEFAULT"),
            _ => String::new(),
        };
        format!(
            "FOREIGN KEY ({}) REFERENCES {referenced}{}{}{}{}{}",
            list(&key.columns),
            if key.matching == 'f' { " MATCH FULL" } else { "" },
            action("UPDATE", key.on_update),
            action("DELETE", key.on_delete),
            if key.deferrable { " DEFERRABLE" } else { "" },
            if key.initially_deferred { " INITIALLY DEFERRED" } else { "" },
        )
    }
}
