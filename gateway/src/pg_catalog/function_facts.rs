//! What `pg_proc` says of functions, by OID and by name.

use std::collections::HashMap;
use std::sync::LazyLock;

use lakegate_catalog::model::Oid;

use super::{PG_CATALOG, recorded};

pub struct Function {
    pub name: String,
    pub schema: Oid,
    pub argument_types: Vec<Oid>,
    pub arguments: String,
    /// `None` for procedures.
    pub result: Option<String>,
}

pub struct Functions {
    pub by_oid: HashMap<Oid, Function>,
    pub by_name: HashMap<String, Vec<Oid>>,
}

pub static FUNCTIONS: LazyLock<Functions> = LazyLock::new(|| {
    let mut signatures: HashMap<Oid, (String, Option<String>)> = HashMap::new();
    for line in recorded::copy_lines(include_str!("recorded/signatures.tsv")) {
        if let [Some(oid), arguments, result] = line.as_slice() {
            signatures.insert(oid.parse().unwrap_or_default(), (arguments.clone().unwrap_or_default(), result.clone()));
        }
    }
    let (mut by_oid, mut by_name) = (HashMap::new(), HashMap::<String, Vec<Oid>>::new());
    for function in recorded::functions() {
        let (arguments, result) = signatures.remove(&function.oid).unwrap_or_default();
        by_name.entry(function.name.clone()).or_default().push(function.oid);
        let (oid, schema) = (function.oid, function.schema);
        by_oid.insert(oid, Function { name: function.name, schema, argument_types: function.argument_types, arguments, result });
    }
    Functions { by_oid, by_name }
});

/// Language, attributes and source, as `pg_get_functiondef` prints them (ruleutils.c).
pub static CLAUSES: LazyLock<HashMap<Oid, (String, String, String)>> = LazyLock::new(|| {
    let columns = recorded::relation(PG_CATALOG, "pg_proc").map(|proc| proc.columns.as_slice()).unwrap_or_default();
    let clauses = |line: Vec<Option<String>>| {
        let field = |name: &str| line.get(columns.iter().position(|column| column.name == name)?)?.as_deref();
        let language = match field("prolang")? {
            "12" => "internal",
            "13" => "c",
            _ => "sql",
        };
        let mut attributes = Vec::new();
        attributes.extend((field("prokind") == Some("w")).then(|| "WINDOW".to_owned()));
        attributes.extend(match field("provolatile")? {
            "i" => Some("IMMUTABLE".to_owned()),
            "s" => Some("STABLE".to_owned()),
            _ => None,
        });
        attributes.extend(match field("proparallel")? {
            "s" => Some("PARALLEL SAFE".to_owned()),
            "r" => Some("PARALLEL RESTRICTED".to_owned()),
            _ => None,
        });
        attributes.extend((field("proisstrict") == Some("t")).then(|| "STRICT".to_owned()));
        attributes.extend((field("prosecdef") == Some("t")).then(|| "SECURITY DEFINER".to_owned()));
        attributes.extend((field("proleakproof") == Some("t")).then(|| "LEAKPROOF".to_owned()));
        let usual = if language == "sql" { "100" } else { "1" };
        attributes.extend(field("procost").filter(|cost| *cost != usual).map(|cost| format!("COST {cost}")));
        attributes.extend(field("prorows").filter(|rows| !matches!(*rows, "0" | "1000")).map(|rows| format!("ROWS {rows}")));
        attributes.extend(field("prosupport").filter(|oid| *oid != "0").and_then(|oid| {
            let support = FUNCTIONS.by_oid.get(&oid.parse().ok()?)?;
            Some(format!("SUPPORT {}", support.name))
        }));
        let attributes = if attributes.is_empty() { String::new() } else { format!(" {}\n", attributes.join(" ")) };
        let source = format!("AS $function${}$function$", field("prosrc")?);
        Some((field("oid")?.parse().ok()?, (language.to_owned(), attributes, source)))
    };
    recorded::lines("pg_proc").filter_map(clauses).collect()
});
