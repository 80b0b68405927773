//! Who may come in how: rules like those of `pg_hba.conf`, in a TOML file. The first that fits a connection decides; where none fits, the
//! connection is refused.
//!
//! ```toml
//! [[rule]]
//! database = "all"            # a name, a list, "all" or "sameuser"
//! role = ["ann", "+staff"]    # a name, a list, "all"; "+name" stands for the members of a role
//! address = "10.0.0.0/8"      # an address or network, a list, "all"
//! tls = true                  # left out: both
//! method = "scram"            # scram, password, token, cert, reject
//!
//! [[map]]
//! certificate = "ann@example.com"
//! role = "ann"
//! ```

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use lakegate_catalog::Snapshot;
use serde::Deserialize;

/// What is asked of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    Scram,
    /// In clear text inside TLS; tokens too.
    Password,
    /// A personal access token, or one of the identity provider.
    Token,
    /// A certificate of the client's whose name is the role's.
    Cert,
    Reject,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    #[serde(default)]
    rule: Vec<Rule>,
    #[serde(default)]
    map: Vec<Mapping>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    #[serde(default = "all")]
    database: Names,
    #[serde(default = "all")]
    role: Names,
    #[serde(default = "all")]
    address: Names,
    tls: Option<bool>,
    method: Method,
}

/// A name in a certificate and the role that it may take.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mapping {
    certificate: String,
    role: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Names {
    One(String),
    Several(Vec<String>),
}

fn all() -> Names {
    Names::One("all".to_owned())
}

impl Names {
    fn iter(&self) -> impl Iterator<Item = &str> {
        match self {
            Names::One(name) => std::slice::from_ref(name),
            Names::Several(names) => names.as_slice(),
        }
        .iter()
        .map(String::as_str)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    #[error("could not read access rules \"{}\": {error}", path.display())]
    Read { path: PathBuf, error: std::io::Error },
    #[error("access rules \"{}\": {message}", path.display())]
    Syntax { path: PathBuf, message: String },
}

/// A connection, before anything is proven.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    pub database: &'a str,
    pub role: &'a str,
    pub address: Option<IpAddr>,
    pub tls: bool,
}

impl Rules {
    /// # Errors
    /// The file cannot be read, is not TOML, or says what is not known.
    pub fn read(path: &Path) -> Result<Rules, RulesError> {
        let text = std::fs::read_to_string(path).map_err(|error| RulesError::Read { path: path.into(), error })?;
        let syntax = |message: String| RulesError::Syntax { path: path.into(), message };
        let rules: Rules = toml::from_str(&text).map_err(|error| syntax(error.to_string()))?;
        let networks = rules.rule.iter().flat_map(|rule| rule.address.iter());
        if let Some(wrong) = networks.into_iter().find(|text| *text != "all" && network(text).is_none()) {
            return Err(syntax(format!("\"{wrong}\" is neither an address nor a network such as 10.0.0.0/8")));
        }
        Ok(rules)
    }

    /// The method of the first rule that fits.
    #[must_use]
    pub fn method(&self, asking: &Asking<'_>, snapshot: &Snapshot) -> Option<Method> {
        self.rule.iter().find(|rule| rule.fits(asking, snapshot)).map(|rule| rule.method)
    }

    /// Whether a certificate with these names may be the role: by a mapping, or where one of them is the role's.
    #[must_use]
    pub fn may_be(&self, names: &[String], role: &str) -> bool {
        let mapped = self.map.iter().filter(|mapping| names.contains(&mapping.certificate)).any(|mapping| mapping.role == role);
        mapped || names.iter().any(|name| name == role)
    }
}

impl Rule {
    fn fits(&self, asking: &Asking<'_>, snapshot: &Snapshot) -> bool {
        let database = |name: &str| match name {
            "all" => true,
            "sameuser" => asking.database == asking.role,
            name => name == asking.database,
        };
        let role = |name: &str| match name.strip_prefix('+') {
            None => name == "all" || name == asking.role,
            Some(group) => match (snapshot.role_by_name(asking.role), snapshot.role_by_name(group)) {
                (Some(role), Some(group)) => role.oid == group.oid || snapshot.settable_roles(role.oid).contains(&group.oid),
                _ => false,
            },
        };
        let address = |text: &str| {
            text == "all" || asking.address.zip(network(text)).is_some_and(|(address, network)| network.contains(address.to_canonical()))
        };
        self.tls.is_none_or(|tls| tls == asking.tls)
            && self.database.iter().any(database)
            && self.role.iter().any(role)
            && self.address.iter().any(address)
    }
}

/// An address and how many of its leading bits count.
#[derive(Debug, Clone, Copy)]
struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    fn contains(self, other: IpAddr) -> bool {
        let same = |one: u128, other: u128, width: u32| {
            let past = width - self.bits;
            past >= 128 || one >> past == other >> past
        };
        match (self.address, other) {
            (IpAddr::V4(one), IpAddr::V4(other)) => same(one.to_bits().into(), other.to_bits().into(), 32),
            (IpAddr::V6(one), IpAddr::V6(other)) => same(one.to_bits(), other.to_bits(), 128),
            _ => false,
        }
    }
}

fn network(text: &str) -> Option<Network> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u32>().ok()?)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(width);
    (bits <= width).then_some(Network { address: address.to_canonical(), bits })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn method(text: &str, asking: &Asking<'_>) -> Option<Method> {
        toml::from_str::<Rules>(text).unwrap().method(asking, &Snapshot::default())
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let rules = r#"
            [[rule]]
            role = "ann"
            address = ["10.0.0.0/8", "::1"]
            method = "token"
            [[rule]]
            database = ["main", "sameuser"]
            tls = true
            method = "scram"
            [[rule]]
            address = "0.0.0.0/0"
            method = "reject"
        "#;
        let asking = |role, database, address: &str, tls| Asking { role, database, address: Some(address.parse().unwrap()), tls };
        assert_eq!(method(rules, &asking("ann", "main", "10.1.2.3", false)), Some(Method::Token));
        assert_eq!(method(rules, &asking("ann", "main", "::ffff:10.1.2.3", false)), Some(Method::Token));
        assert_eq!(method(rules, &asking("ann", "main", "11.1.2.3", true)), Some(Method::Scram));
        assert_eq!(method(rules, &asking("bob", "bob", "11.1.2.3", true)), Some(Method::Scram));
        assert_eq!(method(rules, &asking("bob", "other", "11.1.2.3", true)), Some(Method::Reject));
        assert_eq!(method(rules, &asking("bob", "other", "2001:db8::1", true)), None);
        assert_eq!(method("", &asking("bob", "other", "127.0.0.1", true)), None);
    }

    #[test]
    fn certificates_have_names() {
        let rules: Rules = toml::from_str("[[map]]\ncertificate = \"ann@example.com\"\nrole = \"ann\"").unwrap();
        assert!(rules.may_be(&["ann@example.com".to_owned()], "ann"));
        assert!(rules.may_be(&["bob".to_owned()], "bob"));
        assert!(!rules.may_be(&["ann@example.com".to_owned()], "bob"));
    }
}
