//! The schemas of RFC 7643: sections 3.1, 4.1 to 4.3, and 5 to 7, whose attributes are given in section 8.7.

use super::build::{attribute, boolean, complex, date_time, integer, plural, reference, schema, string};
use super::{Attribute, AttributeType, ENTERPRISE_USER, GROUP, RESOURCE_TYPE, SCHEMA, SERVICE_PROVIDER_CONFIG, Schema, USER};

/// The namespaces of RFC 7643, section 10.3.1, and of RFC 7644, section 8.2, which are not a workspace's to extend.
const RESERVED: [&str; 3] =
    ["urn:ietf:params:scim:schemas:core:2.0:", "urn:ietf:params:scim:api:", "urn:ietf:params:scim:event:"];

/// Whether the URN belongs to SCIM itself.
pub(crate) fn is_of_scim(urn: &str) -> bool {
    let begins = |prefix: &str| urn.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix));
    urn.eq_ignore_ascii_case(ENTERPRISE_USER) || RESERVED.into_iter().any(begins)
}

/// Section 3.1. `externalId` is text of the client's own, never a key of ours (CVE-2025-41115).
pub(super) fn common() -> Vec<Attribute> {
    vec![
        reference("schemas", &["uri"], "The schemas that the resource uses.").many().required().always(),
        string("id", "The identifier that Lockstep gave the resource.").case_exact().unique().always().read_only(),
        string("externalId", "The identifier that the provider gave the resource.").case_exact(),
        complex(
            "meta",
            vec![
                string("resourceType", "The resource type.").case_exact(),
                date_time("created", "When the resource was added."),
                date_time("lastModified", "When the resource last changed."),
                reference("location", &["uri"], "The URI of the resource."),
                string("version", "The version of the resource, as in its ETag.").case_exact(),
            ],
            "What the server says of the resource.",
        )
        .read_only(),
    ]
}

/// Section 4.1.
pub(super) fn user() -> Schema {
    let mut attributes = vec![
        string("userName", "The name that the person is known by at the provider, compared without case.").required().unique(),
        complex("name", name_parts(), "The parts of the person's name."),
        string("displayName", "The name to show for the person."),
        string("nickName", "What the person is called in everyday life."),
        reference("profileUrl", &["external"], "A page about the person."),
        string("title", "The person's title, such as Vice President."),
        string("userType", "How the person belongs to the organisation, such as Employee or Contractor."),
        string("preferredLanguage", "The language to speak with the person, as in Accept-Language."),
        string("locale", "The region for dates, currency and numbers, such as en-US."),
        string("timezone", "The time zone, such as America/Los_Angeles."),
        // Required of what is kept, not of what is sent: to be without it would be neither in nor out.
        boolean("active", "Whether the person may sign in. False ends every access at once.").required(),
        string("password", "Taken and dropped: people sign in at their provider.").case_exact().write_only(),
    ];
    attributes.extend(user_lists());
    schema(USER, "User", "User Account", attributes)
}

fn name_parts() -> Vec<Attribute> {
    vec![
        string("formatted", "The full name, ready to show."),
        string("familyName", "The family name."),
        string("givenName", "The given name."),
        string("middleName", "The middle names."),
        string("honorificPrefix", "What comes before the name, such as Ms."),
        string("honorificSuffix", "What comes after the name, such as III."),
    ]
}

fn user_lists() -> Vec<Attribute> {
    let entitlement_types: [&str; 0] = [];
    vec![
        plural("emails", string("value", "The e-mail address."), &["work", "home", "other"], "E-mail addresses."),
        plural(
            "phoneNumbers",
            string("value", "The number, best as in RFC 3966."),
            &["work", "home", "mobile", "fax", "pager", "other"],
            "Phone numbers.",
        ),
        plural(
            "ims",
            string("value", "The address."),
            &["aim", "gtalk", "icq", "xmpp", "msn", "skype", "qq", "yahoo"],
            "Instant messaging addresses.",
        ),
        plural(
            "photos",
            reference("value", &["external"], "The URL of the picture."),
            &["photo", "thumbnail"],
            "Pictures of the person.",
        ),
        addresses(),
        complex(
            "groups",
            vec![
                string("value", "The identifier of the group."),
                reference("$ref", &["User", "Group"], "The URI of the group."),
                string("display", "The name of the group."),
                string("type", "Whether the membership is direct.").among(&["direct", "indirect"]),
            ],
            "The groups that the person is in. Change the group's members instead.",
        )
        .many()
        .read_only(),
        plural("entitlements", string("value", "The entitlement."), &entitlement_types, "What the person may use."),
        plural("roles", string("value", "The role."), &entitlement_types, "Who the person is, such as Student or Faculty."),
        plural(
            "x509Certificates",
            attribute("value", AttributeType::Binary, "The DER certificate in base64.").case_exact(),
            &entitlement_types,
            "Certificates of the person.",
        ),
    ]
}

fn addresses() -> Attribute {
    complex(
        "addresses",
        vec![
            string("formatted", "The full address, ready to show."),
            string("streetAddress", "Street, number and what else the street line has."),
            string("locality", "The city."),
            string("region", "The state or region."),
            string("postalCode", "The postal code."),
            string("country", "The country, as ISO 3166-1 alpha-2."),
            string("type", "What the address is for.").among(&["work", "home", "other"]),
            boolean("primary", "Whether this is the preferred one. At most one is."),
        ],
        "Postal addresses.",
    )
    .many()
}

/// Section 4.3.
pub(super) fn enterprise_user() -> Schema {
    schema(
        ENTERPRISE_USER,
        "EnterpriseUser",
        "Enterprise User",
        vec![
            string("employeeNumber", "The number that the organisation gave the person."),
            string("costCenter", "The cost centre."),
            string("organization", "The organisation."),
            string("division", "The division."),
            string("department", "The department."),
            complex(
                "manager",
                vec![
                    string("value", "The identifier of the manager's user."),
                    reference("$ref", &["User"], "The URI of the manager's user."),
                    string("displayName", "The manager's name.").read_only(),
                ],
                "The person's manager.",
            ),
        ],
    )
}

/// Section 4.2, with the `display` that its example in section 8.4 has.
pub(super) fn group() -> Schema {
    let members = complex(
        "members",
        vec![
            string("value", "The identifier of the member.").case_exact().immutable(),
            reference("$ref", &["User", "Group"], "The URI of the member.").immutable(),
            string("type", "What the member is.").among(&["User", "Group"]).immutable(),
            string("display", "The name of the member.").immutable(),
        ],
        "The members of the group.",
    );
    schema(GROUP, "Group", "Group", vec![string("displayName", "The name of the group.").required(), members.many()])
}

/// The schemas of the discovery documents, which nobody writes.
pub(super) fn service_schemas() -> Vec<Schema> {
    vec![service_provider_config(), resource_type(), schema_schema()]
}

fn feature(name: &str, more: Vec<Attribute>, description: &str) -> Attribute {
    let mut subs = vec![boolean("supported", "Whether it is offered.").required()];
    subs.extend(more);
    complex(name, subs, description).required()
}

/// Section 5, with `pagination` of RFC 9865, section 4.
fn service_provider_config() -> Schema {
    let bulk_limits = vec![
        integer("maxOperations", "The most operations of one request.").required(),
        integer("maxPayloadSize", "The largest body, in bytes.").required(),
    ];
    let schemes = vec![
        string("type", "The kind of credential.")
            .among(&["oauth", "oauth2", "oauthbearertoken", "httpbasic", "httpdigest"])
            .required(),
        string("name", "The name of the scheme.").required(),
        string("description", "What the scheme is.").required(),
        reference("specUri", &["external"], "The scheme's specification."),
        reference("documentationUri", &["external"], "How to use it here."),
        boolean("primary", "Whether it is the preferred one."),
    ];
    let pagination = vec![
        boolean("cursor", "Whether cursors are offered.").required(),
        boolean("index", "Whether start indexes are offered.").required(),
        string("defaultPaginationMethod", "What is used where the request does not say.").among(&["cursor", "index"]),
        integer("defaultPageSize", "The page size where the request does not say."),
        integer("maxPageSize", "The largest page."),
        integer("cursorTimeout", "How long a cursor is good, in seconds."),
    ];
    let attributes = vec![
        reference("documentationUri", &["external"], "Documentation for people."),
        feature("patch", Vec::new(), "PATCH."),
        feature("bulk", bulk_limits, "Bulk."),
        feature("filter", vec![integer("maxResults", "The most resources of one answer.").required()], "Filters."),
        feature("changePassword", Vec::new(), "Changing passwords."),
        feature("sort", Vec::new(), "Sorting."),
        feature("etag", Vec::new(), "ETags."),
        complex("authenticationSchemes", schemes, "The credentials that are taken.").many().required(),
        complex("pagination", pagination, "Paging."),
        boolean("interopProfileConformant", "Whether the interoperability profile is kept to."),
    ];
    let attributes = attributes.into_iter().map(Attribute::read_only).collect();
    schema(SERVICE_PROVIDER_CONFIG, "ServiceProviderConfig", "What the service offers.", attributes)
}

/// Section 6.
fn resource_type() -> Schema {
    let extension = vec![
        reference("schema", &["uri"], "The URN of the extension.").required(),
        boolean("required", "Whether a resource cannot be without it.").required(),
    ];
    let attributes = vec![
        string("id", "The identifier, which is the name."),
        string("name", "The name.").required(),
        string("description", "What the resource is."),
        reference("endpoint", &["uri"], "The path below the base URL.").required(),
        reference("schema", &["uri"], "The URN of the core schema.").required(),
        complex("schemaExtensions", extension, "The extensions.").many(),
    ];
    let attributes = attributes.into_iter().map(Attribute::read_only).collect();
    schema(RESOURCE_TYPE, "ResourceType", "A kind of resource.", attributes)
}

/// Section 7.
fn schema_schema() -> Schema {
    let mut definition = definition_parts();
    definition.push(complex("subAttributes", definition_parts(), "The parts of a complex attribute.").many());
    let attributes = vec![
        string("id", "The URN.").required(),
        string("name", "The short name.").required(),
        string("description", "What the schema is for."),
        complex("attributes", definition, "The attributes.").many().required(),
    ];
    let attributes = attributes.into_iter().map(Attribute::read_only).collect();
    schema(SCHEMA, "Schema", "A schema.", attributes)
}

fn definition_parts() -> Vec<Attribute> {
    let types = ["string", "complex", "boolean", "decimal", "integer", "dateTime", "reference", "binary"];
    vec![
        string("name", "The attribute's name.").case_exact().required(),
        string("type", "The data type.").among(&types).case_exact().required(),
        boolean("multiValued", "Whether the value is a list.").required(),
        string("description", "What the attribute is."),
        boolean("required", "Whether a resource cannot be without it."),
        string("canonicalValues", "The usual values.").many().case_exact(),
        boolean("caseExact", "Whether text is compared exactly."),
        string("mutability", "Who may change it.").among(&["readOnly", "readWrite", "immutable", "writeOnly"]).case_exact(),
        string("returned", "When it is answered.").among(&["always", "never", "default", "request"]).case_exact(),
        string("uniqueness", "Among what it is unique.").among(&["none", "server", "global"]).case_exact(),
        string("referenceTypes", "What a reference points to.").many().case_exact(),
    ]
}
