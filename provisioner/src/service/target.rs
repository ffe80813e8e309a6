//! What a request's path names. It is read after the caller is known, so that no spelling of a path comes past the door.

use http::Method;

use crate::scim::{Profile, ResourceKind, ScimError};

/// What a path below a workspace's base URL names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target<'p> {
    /// The base URL itself: all resources of all types.
    Root,
    /// All resources of a type.
    Collection(ResourceKind),
    /// One resource.
    Resource(ResourceKind, &'p str),
    /// A search by POST (RFC 7644, section 3.4.3) in one type, or in all.
    Search(Option<ResourceKind>),
    /// Many operations at once (RFC 7644, section 3.7).
    Bulk,
    /// The service provider's configuration.
    ServiceProviderConfig,
    /// All resource types.
    ResourceTypes,
    /// One resource type.
    ResourceType(&'p str),
    /// All schemas.
    Schemas,
    /// One schema, by its URN.
    Schema(&'p str),
    /// The caller's own resource (RFC 7644, section 3.11).
    Me,
}

/// What a path begins with.
const ENDPOINTS: [&str; 8] = ["Users", "Groups", ".search", "Bulk", "ServiceProviderConfig", "ResourceTypes", "Schemas", "Me"];

/// Whether paths below the base URL begin so, in whatever case.
pub(super) fn is_endpoint(name: &str) -> bool {
    ENDPOINTS.iter().any(|known| known.eq_ignore_ascii_case(name))
}

impl<'p> Target<'p> {
    /// Reads the segments of a path below the base URL, decoded. Some providers write names of endpoints in any case.
    pub(super) fn parse(path: &'p [String], profile: Profile) -> Option<Self> {
        let (first, second) = match path {
            [] => return Some(Self::Root),
            [first] => (first, None),
            [first, second] => (first, Some(second.as_str())),
            [_, _, _, ..] => return None,
        };
        let is_meant = |name: &&&str| **name == first || (profile.is_lenient() && name.eq_ignore_ascii_case(first));
        match (*ENDPOINTS.iter().find(is_meant)?, second) {
            ("Users", None) => Some(Self::Collection(ResourceKind::User)),
            (".search", None) => Some(Self::Search(None)),
            ("Users", Some(".search")) => Some(Self::Search(Some(ResourceKind::User))),
            ("Users", Some(id)) => Some(Self::Resource(ResourceKind::User, id)),
            ("Groups", None) => Some(Self::Collection(ResourceKind::Group)),
            ("Groups", Some(".search")) => Some(Self::Search(Some(ResourceKind::Group))),
            ("Groups", Some(id)) => Some(Self::Resource(ResourceKind::Group, id)),
            ("Bulk", None) => Some(Self::Bulk),
            ("ServiceProviderConfig", None) => Some(Self::ServiceProviderConfig),
            ("ResourceTypes", None) => Some(Self::ResourceTypes),
            ("ResourceTypes", Some(id)) => Some(Self::ResourceType(id)),
            ("Schemas", None) => Some(Self::Schemas),
            ("Schemas", Some(urn)) => Some(Self::Schema(urn)),
            ("Me", None) => Some(Self::Me),
            _ => None,
        }
    }

    /// The methods that the target knows, as the value of `Allow`; HEAD is a GET without its body.
    pub(super) fn allow(&self) -> &'static str {
        match self {
            Self::Collection(_) => "GET, HEAD, POST",
            Self::Resource(..) => "GET, HEAD, PUT, PATCH, DELETE",
            Self::Search(_) | Self::Bulk => "POST",
            Self::Me => "",
            Self::Root
            | Self::ServiceProviderConfig
            | Self::ResourceTypes
            | Self::ResourceType(_)
            | Self::Schemas
            | Self::Schema(_) => "GET, HEAD",
        }
    }

    /// Whether the target knows this method.
    pub(super) fn check(&self, method: &Method) -> Result<(), ScimError> {
        if *self == Self::Me {
            // RFC 7644, section 3.11. A token is a provider's and no user's, whatever it is shown for.
            return Err(ScimError::NotImplemented("/Me for a caller that is no user"));
        }
        let known = self.allow().split(", ").any(|allowed| allowed == method.as_str());
        if known { Ok(()) } else { Err(ScimError::MethodNotAllowed(self.allow())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::uri;

    fn parse_as(path: &str, profile: Profile) -> Option<Target<'static>> {
        let segments: Vec<String> = uri::segments(path).collect::<Option<_>>()?;
        Target::parse(segments.leak(), profile)
    }

    fn parse(path: &str) -> Option<Target<'static>> {
        parse_as(path, Profile::Strict)
    }

    #[test]
    fn a_path_names_one_thing_and_doubled_slashes_do_not_matter() {
        for path in ["/Users", "Users/", "//Users", "/Users//"] {
            assert_eq!(parse(path), Some(Target::Collection(ResourceKind::User)), "{path}");
        }
        assert_eq!((parse(""), parse("//")), (Some(Target::Root), Some(Target::Root)));
        assert_eq!(parse("/Groups/7"), Some(Target::Resource(ResourceKind::Group, "7")));
        assert_eq!(parse("/Users/.search"), Some(Target::Search(Some(ResourceKind::User))));
        assert_eq!(parse("/.search"), Some(Target::Search(None)));
        assert_eq!(parse("/Bulk"), Some(Target::Bulk));
        assert_eq!(parse("/Schemas/urn:x:y"), Some(Target::Schema("urn:x:y")));
    }

    #[test]
    fn s30_a_spelling_names_what_it_stands_for_or_nothing() {
        // RFC 3986, section 6.2.2.2: these are the same paths, so they name the same things, behind the same door.
        assert_eq!(parse("/%55sers"), parse("/Users"));
        assert_eq!(parse("/Users/%2Esearch"), Some(Target::Search(Some(ResourceKind::User))));
        assert_eq!(parse("/Schemas/urn%3Ax%3Ay"), Some(Target::Schema("urn:x:y")));
        for path in
            ["/users", "/%2555sers", "/Users/..%2fGroups/x", "/Users/..%2fGroups", "/Users/a/b", "/Users;x", "/Users/a/../b"]
        {
            assert_eq!(parse(path), None, "{path}");
        }
    }

    #[test]
    fn the_case_of_an_endpoint_is_forgiven_where_dialects_are() {
        assert_eq!(parse_as("/users", Profile::Lenient), Some(Target::Collection(ResourceKind::User)));
        assert_eq!(parse_as("/GROUPS/A", Profile::Lenient), Some(Target::Resource(ResourceKind::Group, "A")));
        assert_eq!(parse("/users"), None);
    }

    #[test]
    fn a_wrong_method_is_told_the_right_ones() {
        let target = parse("/Users").unwrap();

        assert_eq!(target.check(&Method::HEAD), Ok(()));
        assert_eq!(target.check(&Method::DELETE), Err(ScimError::MethodNotAllowed("GET, HEAD, POST")));
        assert_eq!(target.check(&Method::OPTIONS), Err(ScimError::MethodNotAllowed("GET, HEAD, POST")));
        assert_eq!(parse("/Bulk").unwrap().check(&Method::HEAD), Err(ScimError::MethodNotAllowed("POST")));
    }

    #[test]
    fn me_is_offered_by_no_method() {
        for method in [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS] {
            assert!(matches!(parse("/Me").unwrap().check(&method), Err(ScimError::NotImplemented(_))), "{method}");
        }
    }

    #[test]
    fn what_is_allowed_is_what_is_done() {
        let known = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
        for path in ["/", "/Users", "/Users/7", "/.search", "/Groups/.search", "/Bulk", "/Schemas", "/Me"] {
            let target = parse(path).unwrap();
            let done: Vec<_> = known.iter().filter(|method| target.check(method).is_ok()).map(Method::as_str).collect();
            assert_eq!(done.join(", "), target.allow(), "{path}");
        }
    }
}
