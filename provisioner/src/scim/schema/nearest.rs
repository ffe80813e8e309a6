//! What somebody may have meant who named an attribute that there is none of.

use super::{Attribute, ResourceSchema};

/// Less alike than this is another word.
const ALIKE: f64 = 0.75;

impl ResourceSchema {
    /// The attribute whose name is the nearest to this one, as it would be written, where any is near.
    #[must_use]
    pub fn nearest(&self, path: &str) -> Option<String> {
        let core = self.core.attributes.iter().chain(&self.common).flat_map(|attribute| spellings("", attribute));
        let own = self.extensions.iter().flat_map(|schema| {
            let urn = format!("{}:", schema.id);
            schema.attributes.iter().flat_map(move |attribute| spellings(&urn, attribute)).collect::<Vec<_>>()
        });
        let sought = path.to_lowercase();
        // Whoever leaves the URN away means the attribute all the same.
        let name_of = |known: &str| known.rsplit(':').next().unwrap_or_default().to_lowercase();
        let likeness = |known: &str| {
            let whole = strsim::jaro_winkler(&sought, &known.to_lowercase());
            if sought.contains(':') { whole } else { strsim::jaro_winkler(&sought, &name_of(known)) }
        };
        let all = core.chain(own).map(|known| (likeness(&known), known));
        all.filter(|(likeness, _)| *likeness >= ALIKE).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, known)| known)
    }
}

fn spellings(urn: &str, attribute: &Attribute) -> Vec<String> {
    let whole = format!("{urn}{}", attribute.name);
    let parts: Vec<String> = attribute.sub_attributes.iter().map(|sub| format!("{whole}.{}", sub.name)).collect();
    std::iter::once(whole).chain(parts).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{ENTERPRISE_USER, ResourceKind, SchemaSet};

    #[test]
    fn a_misspelt_attribute_is_near_the_one_that_is_meant() {
        let set = SchemaSet::standard();
        let nearest = |path: &str| set.of(ResourceKind::User).nearest(path);

        for (path, meant) in [("rolez", "roles"), ("usertyp", "userType"), ("name.givenNam", "name.givenName")] {
            assert_eq!(nearest(path).as_deref(), Some(meant), "{path}");
        }
        assert_eq!(nearest("departmnet"), Some(format!("{ENTERPRISE_USER}:department")));
        assert_eq!(nearest(&format!("{ENTERPRISE_USER}:departmnet")), Some(format!("{ENTERPRISE_USER}:department")));
        assert_eq!(nearest("qqq"), None);
    }
}
