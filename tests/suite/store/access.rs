//! Groups become access: what the mapping gives is read with the person, and who gained and who lost is in the audit trail.

use std::convert::Infallible;

use lockstep_shared::{
    id::{GroupId, UserId},
    model::{
        access::{Access, Mapping, RoleAttribute, Rule},
        audit::{Actor, AuditRecord},
        group::MemberChange,
        revocation::{Revocation, RevocationKind, Scope},
    },
    store::{EditError, GroupDeletion, StoreError},
};
use serde_json::json;
use sqlx::AssertSqlSafe;

use super::{Db, edit, idp, on_each_engine, strangers, workspace};

fn rule(group: &GroupId, roles: &[&str], teams: &[&str]) -> Rule {
    let names = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
    Rule { group: group.clone(), roles: names(roles), teams: names(teams) }
}

/// Changes the mapping, and returns what the log was told.
async fn map(db: &Db, change: impl FnOnce(&mut Mapping)) -> Vec<Revocation> {
    let edit = |mapping: &Mapping| {
        let mut mapping = mapping.clone();
        change(&mut mapping);
        Ok::<_, Infallible>(mapping)
    };
    db.store.update_mapping(&db.acme, &Actor::operator(), edit).await.unwrap().1.records
}

/// The roles and teams of somebody, as apps see them.
async fn access(db: &Db, user: &UserId) -> (Vec<String>, Vec<String>) {
    let (person, _) = db.store.person(&db.acme, user).await.unwrap().unwrap();
    (person.roles, person.teams)
}

/// What the audit trail says of changed roles and teams, newest first.
async fn entries(db: &Db) -> Vec<AuditRecord> {
    let trail = db.store.audit_trail(&db.acme, None, 1_000).await.unwrap();
    trail.into_iter().filter(|record| record.action == "access.changed").collect()
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

on_each_engine! {
    async fn a_mapping_is_read_with_the_person_and_a_change_is_told_to_the_workspace(db: &Db) {
        let babs = db.user("babs").await;
        let staff = db.group("Staff", &[babs.id.to_string()]).await;
        assert_eq!(access(db, &babs.id).await, (vec![], vec![]));

        let records = map(db, |mapping| mapping.rules = vec![rule(&staff.id, &["User"], &["Everybody"])]).await;
        let same = map(db, |mapping| mapping.rules = vec![rule(&staff.id, &["User"], &["Everybody"])]).await;

        assert_eq!(access(db, &babs.id).await, (texts(&["User"]), texts(&["Everybody"])));
        let told = &records[0];
        assert_eq!((told.kind, told.scopes.as_slice(), told.reason.as_str()), (RevocationKind::Changed, [Scope::Workspace].as_slice(), "mapping.changed"));
        assert_eq!(same, [], "what changes nothing writes nothing");
        assert_eq!(db.store.mapping(&db.acme).await.unwrap().rules, [rule(&staff.id, &["User"], &["Everybody"])]);
        assert_eq!(db.actions().await.iter().filter(|action| *action == "mapping.changed").count(), 1);
    }

    async fn a_mapping_is_of_one_workspace(db: &Db) {
        let other = db.workspace("other").await;
        let (mine, theirs) = (db.user("babs").await, db.user_in(&other, "babs").await);

        map(db, |mapping| mapping.default = Access { roles: ["User".parse().unwrap()].into(), ..Access::default() }).await;

        assert_eq!(access(db, &mine.id).await.0, ["User"]);
        let (person, _) = db.store.person(&other, &theirs.id).await.unwrap().unwrap();
        assert_eq!((person.roles, db.store.mapping(&other).await.unwrap()), (vec![], Mapping::default()));
        let nowhere = db.store.update_mapping(&workspace("nowhere"), &Actor::operator(), |m| Ok::<_, Infallible>(m.clone())).await;
        assert!(matches!(nowhere, Err(EditError::Store(StoreError::NotFound("workspace")))), "{nowhere:?}");
    }

    async fn a_refused_edit_leaves_the_mapping(db: &Db) {
        let refused = db.store.update_mapping(&db.acme, &Actor::operator(), |_| Err("no")).await;

        assert!(matches!(refused, Err(EditError::Refused("no"))));
        assert_eq!(db.head().await.0, 0);
    }

    async fn a_mapping_that_cannot_be_read_is_doubt_and_not_an_empty_one(db: &Db) {
        let babs = db.user("babs").await;
        let newer = r#"UPDATE workspaces SET mapping = '{"v":2}' WHERE id = 'acme'"#;
        sqlx::query(AssertSqlSafe(newer)).execute(&mut db.connection().await).await.unwrap();

        let read = db.store.person(&db.acme, &babs.id).await;

        assert!(matches!(read, Err(StoreError::Corrupt { what: "mapping", .. })), "{read:?}");
    }

    async fn whoever_gains_or_loses_by_a_group_is_entered(db: &Db) {
        let (babs, carl) = (db.user("babs").await, db.user("carl").await);
        let off = db.user("off").await;
        drop(db.set_active(&off.id, false).await);
        let (staff, admins, plain) = (db.group("Staff", &[]).await, db.group("Admins", &[]).await, db.group("Plain", &[]).await);
        map(db, |mapping| {
            mapping.rules = vec![rule(&staff.id, &["User"], &["Everybody"]), rule(&admins.id, &["Admin"], &[])];
            mapping.precedence = vec!["Admin".parse().unwrap(), "User".parse().unwrap()];
        })
        .await;
        let both = vec![babs.id.to_string(), carl.id.to_string(), off.id.to_string(), strangers(1).remove(0)];

        drop(db.change(&plain.id, MemberChange::Add(both.clone())).await);
        assert_eq!(entries(db).await, [], "a group that is not mapped");
        drop(db.change(&staff.id, MemberChange::Add(both.clone())).await);
        let gained = entries(db).await;
        drop(db.change(&admins.id, MemberChange::Add(vec![babs.id.to_string()])).await);
        drop(db.change(&staff.id, MemberChange::Remove(both)).await);
        let all = entries(db).await;

        let of = |entries: &[AuditRecord], who: &UserId| {
            let own = entries.iter().filter(|entry| entry.target == who.as_str());
            own.map(|entry| (entry.detail["gained"].clone(), entry.detail["lost"].clone())).collect::<Vec<_>>()
        };
        let change = |roles: &[&str], teams: &[&str]| json!({ "roles": roles, "teams": teams });
        assert_eq!(gained.len(), 2, "neither who is off nor who is not there: {gained:?}");
        assert_eq!(of(&gained, &babs.id), [(change(&["User"], &["Everybody"]), change(&[], &[]))]);
        assert_eq!((&gained[0].detail["because"], &gained[0].detail["group"]), (&json!("group.changed"), &json!(staff.id)));
        assert_eq!(
            of(&all, &babs.id),
            [
                (change(&[], &[]), change(&[], &["Everybody"])),
                (change(&["Admin"], &[]), change(&["User"], &[])),
                (change(&["User"], &["Everybody"]), change(&[], &[])),
            ],
            "precedence counts"
        );
        assert_eq!(of(&all, &carl.id)[0], (change(&[], &[]), change(&["User"], &["Everybody"])));
        assert_eq!(access(db, &babs.id).await.0, ["Admin"]);
    }

    async fn a_renamed_group_gives_what_it_gave_and_one_made_anew_under_its_name_nothing(db: &Db) {
        let babs = db.user("babs").await;
        let admins = db.group("Admins", &[babs.id.to_string()]).await;
        map(db, |mapping| mapping.rules = vec![rule(&admins.id, &["Admin"], &[])]).await;
        let rename = |group: &lockstep_shared::model::group::Group| {
            let mut profile = group.profile.clone();
            profile.display_name = "Chiefs".into();
            Ok::<_, Infallible>((profile, vec![]))
        };

        drop(db.store.update_group(&db.acme, &admins.id, &idp(), rename).await.unwrap());
        assert_eq!(access(db, &babs.id).await.0, ["Admin"]);
        let before = entries(db).await.len();
        let deletion = db.store.delete_group(&db.acme, &admins.id, &idp()).await.unwrap();
        let entered = entries(db).await;
        db.group("Chiefs", &[babs.id.to_string()]).await;

        assert!(matches!(deletion, GroupDeletion::Now(settlement) if settlement.records.len() == 1));
        assert_eq!(access(db, &babs.id).await, (vec![], vec![]));
        assert_eq!(entered.len(), before + 1);
        assert_eq!((&entered[0].detail["because"], &entered[0].detail["lost"]["roles"]), (&json!("group.deleted"), &json!(["Admin"])));
    }

    async fn people_of_every_number_are_entered_by_name_up_to_two_hundred(db: &Db) {
        let mut people = Vec::new();
        for number in 0..201 {
            people.push(db.user(&format!("user-{number}")).await.id.to_string());
        }
        let staff = db.group("Staff", &[]).await;
        map(db, |mapping| mapping.rules = vec![rule(&staff.id, &["User"], &[])]).await;

        for count in [1, 19, 20, 21, 100, 101, 200] {
            let some = people[..count].to_vec();
            let before = entries(db).await.len();
            drop(db.change(&staff.id, MemberChange::Add(some.clone())).await);
            let after = entries(db).await;
            assert_eq!(after.len() - before, count);
            let mut named: Vec<String> = after[..count].iter().map(|entry| entry.target.clone()).collect();
            named.sort();
            assert_eq!(named, { let mut some = some.clone(); some.sort(); some }, "{count}");
            drop(db.change(&staff.id, MemberChange::Remove(some)).await);
        }
        drop(db.change(&staff.id, MemberChange::Add(people)).await);
        let all = entries(db).await;

        assert_eq!((all[0].target.as_str(), &all[0].detail["people"]), (staff.id.as_str(), &json!(201)));
        assert_eq!(all[0].detail["roles"], json!(["User"]));
    }

    async fn more_mapped_groups_than_one_statement_names_all_count(db: &Db) {
        let babs = db.user("babs").await;
        let mut rules = Vec::new();
        for number in 0..120 {
            let group = db.group(&format!("group {number}"), &[babs.id.to_string()]).await;
            rules.push(rule(&group.id, &[&format!("R{number:03}")], &[]));
        }
        map(db, |mapping| mapping.rules.clone_from(&rules)).await;
        assert_eq!(access(db, &babs.id).await.0.len(), 120);

        map(db, |mapping| mapping.precedence = rules.iter().rev().flat_map(|rule| rule.roles.clone()).collect()).await;
        drop(db.change(&rules[119].group, MemberChange::Remove(vec![babs.id.to_string()])).await);

        let newest = &entries(db).await[0].detail;
        assert_eq!((&newest["lost"]["roles"], &newest["gained"]["roles"]), (&json!(["R119"]), &json!(["R118"])));
    }

    async fn whoever_gains_or_loses_by_the_mapping_is_entered_if_they_are_few(db: &Db) {
        let (babs, carl) = (db.user("babs").await, db.user("carl").await);
        let staff = db.group("Staff", &[babs.id.to_string(), carl.id.to_string()]).await;
        let admins = db.group("Admins", &[babs.id.to_string()]).await;

        map(db, |mapping| mapping.rules = vec![rule(&staff.id, &["User"], &[]), rule(&admins.id, &["Admin"], &[])]).await;
        let first = entries(db).await;
        map(db, |mapping| drop(mapping.rules.pop())).await;
        let second = entries(db).await;
        map(db, |mapping| mapping.default = Access { roles: ["Guest".parse().unwrap()].into(), ..Access::default() }).await;

        assert_eq!(first.len(), 2);
        assert_eq!((second.len(), second[0].target.as_str(), &second[0].detail["lost"]["roles"]), (3, babs.id.as_str(), &json!(["Admin"])));
        assert_eq!(entries(db).await.len(), 3, "what concerns everybody is the mapping's own entry");
    }

    async fn an_attribute_that_gives_roles_does_so_at_once_and_is_entered(db: &Db) {
        let babs = db.user("babs").await;
        db.has_signed_in(&babs).await;
        let path = "roles".parse().unwrap();
        map(db, |mapping| mapping.role_attribute = Some(RoleAttribute { path, grants: ["Admin".parse().unwrap()].into() })).await;
        let give = async |roles: &[&str]| {
            let roles: Vec<_> = roles.iter().map(|role| json!({ "value": role })).collect();
            edit(&db.store, &db.acme, &babs.id, |profile| drop(profile.attributes.insert("roles".into(), json!(roles)))).await.unwrap().1
        };

        let settlement = give(&["Admin", "Owner"]).await;
        assert_eq!(access(db, &babs.id).await.0, ["Admin"]);
        drop(give(&["Admin"]).await);
        assert_eq!(entries(db).await.len(), 1, "nothing gained, nothing lost");
        drop(give(&[]).await);

        assert_eq!(settlement.records[0].scopes, [Scope::User { id: babs.id.clone() }]);
        assert_eq!(access(db, &babs.id).await.0, Vec::<String>::new());
        let newest = &entries(db).await[0];
        assert_eq!((newest.target.as_str(), &newest.detail["lost"]["roles"]), (babs.id.as_str(), &json!(["Admin"])));
    }
}
