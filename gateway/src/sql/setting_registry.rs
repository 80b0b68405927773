//! All settings by name: those that do something, and what PostgreSQL has besides.

use std::sync::LazyLock;

use super::own_settings::OWN;
use super::recorded_settings;
use super::settings::Setting;

/// Sorted by name, case-insensitively.
pub static REGISTRY: LazyLock<Vec<Setting>> = LazyLock::new(|| {
    let own = |name: &str| OWN.iter().any(|setting| setting.name.eq_ignore_ascii_case(name));
    let others = recorded_settings::lines().filter(|line| !own(line.name)).map(recorded_settings::setting);
    let mut all: Vec<Setting> = OWN.iter().copied().chain(others).collect();
    all.sort_by_cached_key(|setting| setting.name.to_ascii_lowercase());
    all
});

/// Finds a setting by its name in any case.
#[must_use]
pub fn find(name: &str) -> Option<&'static Setting> {
    let name = name.to_ascii_lowercase();
    let at = REGISTRY.binary_search_by(|setting| setting.name.bytes().map(|byte| byte.to_ascii_lowercase()).cmp(name.bytes())).ok()?;
    REGISTRY.get(at)
}

impl Setting {
    /// Whether it is one that does something here.
    #[must_use]
    pub fn is_own(&self) -> bool {
        OWN.iter().any(|own| own.name == self.name)
    }
}
