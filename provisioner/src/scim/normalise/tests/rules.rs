//! A workspace's own rules.

use super::*;

fn ruled(rules: Value, body: Value, before: Option<&Document>) -> Result<User, ScimError> {
    let mut world = World::new(Profile::Lenient);
    world.rules = serde_json::from_value(rules).unwrap();
    let context = world.context(ResourceKind::User);
    context.rules.check(context.schema).unwrap();
    user(body, &context, before.map(|document| Current { id: "u1", document }))
}

#[test]
fn a_rule_is_refused_in_a_sentence_that_says_what_to_do() {
    let rules = json!({"attributes": [
        {"path": "userType", "allowed": ["Premium", "Standard"], "default": "Standard"},
        {"path": "name.givenName", "required": true},
        {"path": "emails", "required": true},
        {"path": "roles", "allowed": ["ReadOnly", "User", "Admin", "EnterpriseAdmin"]},
        {"path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", "default": "None"},
    ], "user_name_is_email": true});
    let good = |more: Value| {
        let mut body = document(
            json!({"userName": "jo@acme.example", "name": {"givenName": "Jo"}, "emails": [{"value": "jo@acme.example"}]}),
        );
        body.extend(document(more));
        ruled(rules.clone(), Value::Object(body), None)
    };
    let refused = [
        (
            json!({"userType": "premium"}),
            "userType is \"premium\"; allowed here are Premium, Standard: change the mapping at your identity provider",
        ),
        (
            json!({"name": {"familyName": "Moe"}}),
            "name.givenName is required here and is missing: map it at your identity provider",
        ),
        (json!({"emails": []}), "emails is required here and is missing: map it at your identity provider"),
        (
            json!({"roles": ["User", "Root"]}),
            "roles is \"Root\"; allowed here are ReadOnly, User, Admin, EnterpriseAdmin: change the mapping at your identity provider",
        ),
        (
            json!({"userName": "jo"}),
            "userName must be an e-mail address here: map it to the person's e-mail address at your identity provider",
        ),
    ];
    for (more, sentence) in refused {
        assert_eq!(good(more.clone()), Err(ScimError::InvalidValue(sentence.into())), "{more}");
    }
    let user = good(json!({})).unwrap();
    assert_eq!(
        (&user.document["userType"], &user.document[ENTERPRISE_USER]),
        (&json!("Standard"), &json!({"department": "None"}))
    );
}

#[test]
fn a_rule_never_stands_between_a_person_and_the_end_of_their_access() {
    let rules =
        json!({"attributes": [{"path": "userType", "allowed": ["Premium"], "required": true}], "user_name_is_email": true});
    let mut before = document(json!({"userName": "jo", "userType": "Old", "active": true}));
    let put = |body: Value, before: &Document| ruled(rules.clone(), body, Some(before));

    let out = put(json!({"userName": "jo", "userType": "Odd", "active": false}), &before).unwrap();
    assert_eq!(remarks(&out.notes), [(NoteKind::RuleWaived, "userType")]);
    assert!(!out.active);
    assert!(
        put(json!({"userName": "jo", "userType": "Old", "title": "x"}), &before).is_ok(),
        "what was there before the rule stays"
    );
    assert!(put(json!({"userName": "jo", "userType": "Odd"}), &before).is_err(), "what comes in has to follow it");
    before.insert("active".into(), json!(false));
    assert!(put(json!({"userName": "jo", "userType": "Old", "active": true}), &before).is_err(), "and so has who comes back");
}

#[test]
fn a_rule_that_cannot_work_is_refused_before_it_is_stored() {
    let world = World::new(Profile::Lenient);
    let check = |rule: Value| {
        let rules: AttributeRules = serde_json::from_value(json!({"attributes": [rule]})).unwrap();
        rules.check(world.context(ResourceKind::User).schema)
    };

    assert_eq!(check(json!({"path": "shoe", "required": true})), Err(RuleError::Unknown("shoe".into())));
    assert_eq!(check(json!({"path": "active", "default": "true"})), Err(RuleError::NotText("active".into())));
    assert_eq!(check(json!({"path": "userType", "allowed": ["A"], "default": "B"})), Err(RuleError::Default("userType".into())));
    assert_eq!(check(json!({"path": "meta.version", "required": true})), Err(RuleError::NotWritten("meta.version".into())));
    assert_eq!(check(json!({"path": "emails", "required": true})), Ok(()));
}
