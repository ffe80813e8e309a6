//! Groups: membership as rows, in every size, and what of it the log tells.

use std::convert::Infallible;

use lockstep_shared::{
    id::{GroupId, UserId},
    model::{
        group::{Group, MemberChange},
        revocation::{RevocationKind, Scope, Seq},
    },
    store::{EditError, GroupDeletion, GroupMatch, Settlement, StoreError},
};

use super::{Db, idp, named, on_each_engine, strangers, workspace};

fn through(deletion: &GroupDeletion) -> Seq {
    match deletion {
        GroupDeletion::Now(settlement) | GroupDeletion::Before(settlement) => settlement.through,
        GroupDeletion::Never => panic!("never there"),
    }
}

fn scopes(settlement: &Settlement) -> Vec<Scope> {
    settlement.records.iter().flat_map(|record| record.scopes.clone()).collect()
}

fn users(ids: &[String]) -> Vec<Scope> {
    ids.iter().map(|id| Scope::User { id: UserId::parse(id).unwrap() }).collect()
}

on_each_engine! {
    async fn a_group_reads_back_and_is_found_by_each_indexed_value(db: &Db) {
        let babs = db.user("babs").await;
        db.has_signed_in(&babs).await;
        let mut profile = named("Équipe");
        profile.external_id = Some("G-1".into());
        let (group, settlement) =
            db.store.create_group(&db.acme, profile, vec![babs.id.to_string()], &idp()).await.unwrap();
        db.group("other", &[]).await;

        assert_eq!(db.store.group(&db.acme, &group.id).await.unwrap().as_ref(), Some(&group));
        assert_eq!((group.changed_seq, settlement.through), (Seq(1), Seq(1)));
        for by in [
            GroupMatch::Id(group.id.to_string()),
            GroupMatch::DisplayName("E\u{301}QUIPE".into()),
            GroupMatch::ExternalId("G-1".into()),
            GroupMatch::Member(babs.id.to_string()),
        ] {
            assert_eq!(db.store.groups_matching(&db.acme, &by).await.unwrap(), vec![group.clone()], "{by:?}");
        }
        assert_eq!(db.store.groups_matching(&db.acme, &GroupMatch::ExternalId("g-1".into())).await.unwrap(), vec![]);
        assert_eq!(db.store.count_groups(&db.acme).await.unwrap(), 2);
    }

    async fn a_taken_name_or_external_id_is_refused(db: &Db) {
        let mut first = named("Team");
        first.external_id = Some("G-1".into());
        drop(db.store.create_group(&db.acme, first.clone(), vec![], &idp()).await.unwrap());

        let by_name = db.store.create_group(&db.acme, named("tEAM"), strangers(3), &idp()).await;
        first.display_name = "another".into();
        let by_external_id = db.store.create_group(&db.acme, first, vec![], &idp()).await;

        assert!(matches!(by_name, Err(StoreError::Conflict("displayName"))), "{by_name:?}");
        assert!(matches!(by_external_id, Err(StoreError::Conflict("externalId"))), "{by_external_id:?}");
        let nowhere = db.store.create_group(&workspace("nowhere"), named("x"), vec![], &idp()).await;
        assert!(matches!(nowhere, Err(StoreError::NotFound(_))), "{nowhere:?}");
        assert_eq!(db.head().await, Seq(0));
    }

    async fn members_are_read_up_to_a_number_or_not_at_all(db: &Db) {
        // Readings are of 500 at most.
        for size in [0, 1, 499, 500, 501, 1_000, 1_201] {
            let group = db.group(&format!("of {size}"), &strangers(size)).await;
            let within = async |most: usize| {
                db.store.members_within(&db.acme, &group.id, most).await.unwrap().map(|members| members.into_iter().collect::<Vec<_>>())
            };
            let all: Vec<_> = db.store.members(&db.acme, &group.id).await.unwrap().into_iter().collect();

            assert_eq!(all.len(), size);
            for most in [size, size + 1, usize::MAX] {
                assert_eq!(within(most).await.as_ref(), Some(&all), "{most} of {size}");
            }
            for most in [0, size / 2, size.saturating_sub(1)] {
                assert_eq!(within(most).await, (size <= most).then(|| all.clone()), "{most} of {size}");
            }
            assert_eq!(db.store.members_within(&workspace("other"), &group.id, 0).await.unwrap().map(|none| none.len()), Some(0));
        }
    }

    async fn pages_of_groups_miss_none(db: &Db) {
        let mut created = Vec::new();
        for number in 0..5 {
            created.push(db.group(&format!("group {number}"), &[]).await);
        }
        created.sort_by(|a, b| a.id.cmp(&b.id));

        let mut by_page = db.store.groups_page(&db.acme, 0, 3).await.unwrap();
        by_page.extend(db.store.groups_page(&db.acme, 3, 3).await.unwrap());
        let mut by_place = db.store.groups_after(&db.acme, None, 3).await.unwrap();
        by_place.extend(db.store.groups_after(&db.acme, Some(&created[2].id), 3).await.unwrap());

        assert_eq!((&by_page, &by_place), (&created, &created));
    }

    async fn members_of_every_number_are_added_removed_and_replaced(db: &Db) {
        for count in [1, 127, 128, 129, 1000] {
            let (first, second) = (strangers(count), strangers(count));
            let group = db.group(&format!("group of {count}"), &[]).await;

            let (added, told) = db.change(&group.id, MemberChange::Add(first.clone())).await;
            assert_eq!((db.member_ids(&group.id).await, added.version), (first.clone(), 2), "{count} added");
            assert_eq!(scopes(&told), if count > 200 { vec![Scope::Workspace] } else { users(&first) });
            let (same, nothing) = db.change(&group.id, MemberChange::Add(first.clone())).await;
            assert_eq!((same.version, nothing.records.len()), (2, 0), "{count} added again");

            drop(db.change(&group.id, MemberChange::Replace(second.clone())).await);
            assert_eq!(db.member_ids(&group.id).await, second, "{count} replaced");
            let (_, nothing) = db.change(&group.id, MemberChange::Replace(second.clone())).await;
            assert_eq!(nothing.records, vec![], "{count} replaced by themselves");

            drop(db.change(&group.id, MemberChange::Remove(second)).await);
            assert_eq!(db.member_ids(&group.id).await, Vec::<String>::new(), "{count} removed");
            let (_, nothing) = db.change(&group.id, MemberChange::Remove(first)).await;
            assert_eq!(nothing.records, vec![], "{count} who were none");
        }
    }

    async fn ten_thousand_members_are_one_change(db: &Db) {
        let (mut first, second) = (strangers(10_000), strangers(10_000));
        let group = db.group("everybody", &first).await;
        assert_eq!(db.member_ids(&group.id).await, first);

        // Half of them stay.
        let mut mixed: Vec<String> = first.split_off(5_000);
        mixed.extend_from_slice(&second[..5_000]);
        let (_, settlement) = db.change(&group.id, MemberChange::Replace(mixed.clone())).await;

        mixed.sort();
        assert_eq!(db.member_ids(&group.id).await, mixed);
        assert_eq!(scopes(&settlement), vec![Scope::Workspace]);
        assert!(matches!(db.store.delete_group(&db.acme, &group.id, &idp()).await.unwrap(), GroupDeletion::Now(_)));
    }

    async fn a_replacement_tells_those_alone_whose_membership_changed(db: &Db) {
        let ids = strangers(3);
        let group = db.group("team", &ids[..2]).await;

        let (_, settlement) = db.change(&group.id, MemberChange::Replace(ids[1..].to_vec())).await;

        assert_eq!(scopes(&settlement), users(&[ids[0].clone(), ids[2].clone()]));
    }

    async fn repeated_ids_count_once_and_ids_of_nobody_are_kept(db: &Db) {
        let ids = strangers(2);
        let doubled: Vec<String> = ids.iter().chain(&ids).cloned().chain(["not one of ours".to_owned()]).collect();

        let group = db.group("team", &doubled).await;
        let (_, settlement) = db.change(&group.id, MemberChange::Remove(doubled)).await;

        assert_eq!(scopes(&settlement), users(&ids));
        assert_eq!(db.member_ids(&group.id).await, Vec::<String>::new());
    }

    async fn steps_are_carried_out_in_their_order_and_what_is_as_before_is_not_told(db: &Db) {
        let ids = strangers(3);
        let group = db.group("team", &ids[..1]).await;
        let steps = vec![
            MemberChange::Add(vec![ids[1].clone()]),
            MemberChange::Remove(vec![ids[0].clone(), ids[1].clone()]),
            MemberChange::Add(vec![ids[2].clone()]),
        ];

        let edit = |group: &Group| Ok::<_, Infallible>((group.profile.clone(), steps));
        let (_, settlement) = db.store.update_group(&db.acme, &group.id, &idp(), edit).await.unwrap();

        assert_eq!(db.member_ids(&group.id).await, ids[2..].to_vec());
        assert_eq!(scopes(&settlement), users(&[ids[0].clone(), ids[2].clone()]));
    }

    async fn a_repeated_removal_waits_for_the_row_of_the_first(db: &Db) {
        let ids = strangers(2);
        let group = db.group("team", &ids).await;
        let (_, first) = db.change(&group.id, MemberChange::Remove(vec![ids[0].clone()])).await;
        drop(db.set_active(&db.user("other").await.id, false).await);

        let (same, again) = db.change(&group.id, MemberChange::Remove(vec![ids[0].clone()])).await;

        assert_eq!((again.records.len(), again.through), (0, first.through));
        assert_eq!((same.version, same.changed_seq), (2, first.through));
    }

    async fn every_later_answer_of_a_group_waits_for_a_removal_whose_answer_was_lost(db: &Db) {
        let ids = strangers(1);
        let group = db.group("team", &ids).await;
        let (_, removal) = db.change(&group.id, MemberChange::Remove(ids)).await;

        let note = |group: &Group| {
            let mut profile = group.profile.clone();
            profile.attributes.insert("description".into(), "x".into());
            Ok::<_, Infallible>((profile, vec![]))
        };
        let (_, noted) = db.store.update_group(&db.acme, &group.id, &idp(), note).await.unwrap();
        let deletion = db.store.delete_group(&db.acme, &group.id, &idp()).await.unwrap();
        let repetition = db.store.delete_group(&db.acme, &group.id, &idp()).await.unwrap();

        assert_eq!(noted, Settlement::of_earlier(removal.through));
        assert_eq!((through(&deletion), through(&repetition)), (removal.through, removal.through));
    }

    async fn a_new_name_is_told_to_every_member(db: &Db) {
        let ids = strangers(2);
        let group = db.group("team", &ids).await;
        let rename = |group: &Group| {
            let mut profile = group.profile.clone();
            profile.display_name = "crew".into();
            Ok::<_, Infallible>((profile, vec![]))
        };

        let (renamed, settlement) = db.store.update_group(&db.acme, &group.id, &idp(), rename).await.unwrap();

        assert_eq!(scopes(&settlement), users(&ids));
        assert_eq!((renamed.version, renamed.changed_seq), (2, settlement.through));
        assert_eq!(db.store.group(&db.acme, &group.id).await.unwrap(), Some(renamed));
        assert_eq!(settlement.records[0].kind, RevocationKind::Changed);
    }

    async fn a_new_name_of_a_large_group_is_told_to_the_whole_workspace(db: &Db) {
        // They come first, and are nobody's who could have a session.
        let texts: Vec<String> = (0..1_500).map(|number| format!("!{number:04}")).collect();
        for (count, expected) in [(200, None), (201, Some(vec![Scope::Workspace])), (2_500, Some(vec![Scope::Workspace]))] {
            let people = strangers(count);
            let group = db.group("team", &[texts.as_slice(), &people].concat()).await;
            let rename = |group: &Group| {
                let mut profile = group.profile.clone();
                profile.display_name = "crew".into();
                Ok::<_, Infallible>((profile, vec![]))
            };

            let (_, settlement) = db.store.update_group(&db.acme, &group.id, &idp(), rename).await.unwrap();

            assert_eq!(scopes(&settlement), expected.unwrap_or_else(|| users(&people)), "{count}");
            drop(db.store.delete_group(&db.acme, &group.id, &idp()).await.unwrap());
        }
    }

    async fn a_large_group_is_read_at_one_moment(db: &Db) {
        const SWAPS: usize = 8;
        let everybody = strangers(6_000);
        let (odd, even): (Vec<_>, Vec<_>) = everybody.into_iter().enumerate().partition(|(number, _)| number % 2 == 1);
        let [odd, even] = [odd, even].map(|ids| ids.into_iter().map(|(_, id)| id).collect::<Vec<String>>());
        let group = db.group("team", &odd).await;

        let swaps = async {
            for ids in [&even, &odd].into_iter().cycle().take(SWAPS) {
                drop(db.change(&group.id, MemberChange::Replace(ids.clone())).await);
            }
        };
        let mut swaps = std::pin::pin!(swaps);
        let mut reads = 0;
        loop {
            tokio::select! {
                biased;
                () = &mut swaps => break,
                read = db.member_ids(&group.id) => {
                    assert!(read == odd || read == even, "{} members of two moments", read.len());
                    reads += 1;
                }
            }
        }

        assert!(reads > 0, "somebody read while members came and went");
    }

    async fn members_are_found_by_their_ids_in_a_group_of_any_size(db: &Db) {
        let (babs, ids) = (db.user("babs").await.id.to_string(), strangers(1_200));
        let group = db.group("team", &[std::slice::from_ref(&babs), &ids].concat()).await;
        let elsewhere = strangers(1).remove(0);
        db.group("other", std::slice::from_ref(&elsewhere)).await;

        let named = [babs.as_str(), elsewhere.as_str(), ids[1_100].as_str()];
        let found = db.store.members_named(&db.acme, &group.id, named).await.unwrap();

        let found: Vec<_> = found.iter().map(|member| (member.id.as_str(), member.display.as_deref())).collect();
        assert_eq!(found, [(babs.as_str(), Some("babs")), (ids[1_100].as_str(), None)]);
    }

    async fn a_refused_or_conflicting_edit_changes_no_membership(db: &Db) {
        let ids = strangers(2);
        let (group, _) = (db.group("team", &ids[..1]).await, db.group("taken", &[]).await);
        let head = db.head().await;

        let refused = db.store.update_group(&db.acme, &group.id, &idp(), |_| Err("no")).await;
        let clash = |group: &Group| {
            let mut profile = group.profile.clone();
            profile.display_name = "TAKEN".into();
            Ok::<_, Infallible>((profile, vec![MemberChange::Replace(vec![])]))
        };
        let clashing = db.store.update_group(&db.acme, &group.id, &idp(), clash).await;

        assert!(matches!(refused, Err(EditError::Refused("no"))));
        assert!(matches!(clashing, Err(EditError::Store(StoreError::Conflict("displayName")))), "{clashing:?}");
        assert_eq!((db.member_ids(&group.id).await, db.head().await), (ids[..1].to_vec(), head));
    }

    async fn changes_of_no_group_find_none(db: &Db) {
        let nothing = GroupId::new();
        let keep = |group: &Group| Ok::<_, Infallible>((group.profile.clone(), vec![]));

        let changed = db.store.update_group(&db.acme, &nothing, &idp(), keep).await;

        assert!(matches!(changed, Err(EditError::Store(StoreError::NotFound("group")))), "{changed:?}");
        assert_eq!(db.store.delete_group(&db.acme, &nothing, &idp()).await.unwrap(), GroupDeletion::Never);
    }

    async fn a_deleted_group_leaves_its_members_and_the_groups_that_it_was_in(db: &Db) {
        let babs = db.user("babs").await;
        let group = db.group("team", &[babs.id.to_string()]).await;
        let outer = db.group("outer", &[group.id.to_string()]).await;

        let first = db.store.delete_group(&db.acme, &group.id, &idp()).await.unwrap();
        let second = db.store.delete_group(&db.acme, &group.id, &idp()).await.unwrap();

        assert!(matches!(&first, GroupDeletion::Now(settlement) if scopes(settlement) == users(&[babs.id.to_string()])));
        assert!(matches!(second, GroupDeletion::Before(_)));
        assert_eq!(through(&first), through(&second));
        assert_eq!(db.store.groups_of(&db.acme, &babs.id).await.unwrap(), vec![]);
        assert_eq!(db.member_ids(&outer.id).await, Vec::<String>::new());
    }

    async fn members_are_shown_by_name_where_they_are_known(db: &Db) {
        let babs = db.user("babs").await;
        let inner = db.group("inner", &[]).await;
        let stranger = strangers(1).remove(0);
        let group = db.group("team", &[babs.id.to_string(), inner.id.to_string(), stranger.clone()]).await;

        let shown: Vec<_> = db.store.members(&db.acme, &group.id).await.unwrap().into_iter().collect();

        let of = |id: &str| {
            let member = shown.iter().find(|member| member.id == id).unwrap();
            (member.display.as_deref(), member.is_group, member.is_pending)
        };
        assert_eq!(of(babs.id.as_str()), (Some("babs"), false, false));
        assert_eq!(of(inner.id.as_str()), (Some("inner"), true, false));
        assert_eq!(of(&stranger), (None, false, true));
    }

    async fn memberships_of_a_page_of_people_come_in_one_reading(db: &Db) {
        let (one, two) = (db.user("one").await, db.user("two").await);
        db.group("b team", &[one.id.to_string(), two.id.to_string()]).await;
        db.group("A team", &[two.id.to_string()]).await;
        let (first, last) = (one.id.clone().min(two.id.clone()), one.id.clone().max(two.id.clone()));

        let pairs = db.store.groups_of_range(&db.acme, &first, &last).await.unwrap();

        let of = |id: &UserId| -> Vec<&str> {
            pairs.iter().filter(|(user, _)| user == id.as_str()).map(|(_, group)| group.display_name.as_str()).collect()
        };
        assert_eq!((of(&one.id), of(&two.id)), (vec!["b team"], vec!["A team", "b team"]));
        let alone: Vec<String> =
            db.store.groups_of(&db.acme, &two.id).await.unwrap().into_iter().map(|group| group.display_name).collect();
        assert_eq!(alone, ["A team", "b team"]);
    }

    async fn of_64_changes_of_one_group_at_once_none_is_lost(db: &Db) {
        let (gone, come) = (strangers(32), strangers(32));
        let group = db.group("team", &gone).await;

        let mut tasks = tokio::task::JoinSet::new();
        let steps = gone.iter().map(|id| MemberChange::Remove(vec![id.clone()])).chain(come.iter().map(|id| MemberChange::Add(vec![id.clone()])));
        for step in steps {
            let (store, acme, id) = (db.store.clone(), db.acme.clone(), group.id.clone());
            tasks.spawn(async move {
                let edit = |group: &Group| Ok::<_, Infallible>((group.profile.clone(), vec![step]));
                store.update_group(&acme, &id, &idp(), edit).await.unwrap().0.version
            });
        }
        let mut versions = tasks.join_all().await;

        versions.sort_unstable();
        assert_eq!(versions, (2..=65).collect::<Vec<i64>>());
        assert_eq!(db.member_ids(&group.id).await, come);
    }
}
