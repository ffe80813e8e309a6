//! The gateways' rows: joining, beating, leaving, and being forgotten.

use std::time::Duration;

use lockstep_shared::{
    clock::BootTime,
    id::{Generation, ReplicaId},
    model::revocation::{Draft, Scope, Seq},
    revoke::barrier::{Acks, Beats, Standing, Target, standing},
    store::{Renewal, Replica, ReplicaState, StoreError},
};

use super::{Db, on_each_engine};

const LEASE: Duration = Duration::from_secs(10);

async fn row(db: &Db, id: &ReplicaId) -> Option<Replica> {
    db.store.gateways().await.unwrap().into_iter().find(|row| row.id == *id)
}

on_each_engine! {
    async fn a_gateway_joins_beats_and_leaves(db: &Db) {
        let id = ReplicaId::new();
        db.store.join_gateway(&id, LEASE).await.unwrap();
        let joined = row(db, &id).await.unwrap();
        let head = db.store.head().await.unwrap();

        let first = db.store.renew_gateway(&id, None).await.unwrap();
        let second = db.store.renew_gateway(&id, Some((&head.generation, Seq(0)))).await.unwrap();

        let serving = row(db, &id).await.unwrap();
        assert_eq!((joined.state, joined.lease), (ReplicaState::Joining, LEASE));
        assert_eq!((joined.applied_generation, joined.applied_seq), (None, Seq(0)));
        assert_eq!((&first, &second), (&Renewal::Renewed(head.clone()), &Renewal::Renewed(head.clone())));
        assert_eq!((serving.state, serving.beat - joined.beat), (ReplicaState::Serving, 2));
        assert_eq!(serving.applied_generation, Some(head.generation));
        db.store.leave_gateway(&id).await.unwrap();
        assert_eq!(row(db, &id).await, None);
        db.store.leave_gateway(&id).await.unwrap();
    }

    async fn a_renewal_carries_the_head_and_notes_what_was_applied(db: &Db) {
        let id = ReplicaId::new();
        db.store.join_gateway(&id, LEASE).await.unwrap();
        let settlement = db.store.revoke(Draft::end(&db.acme, vec![Scope::Workspace], "test.revoked")).await.unwrap();

        let renewal = db.store.renew_gateway(&id, Some((&Generation::random(), Seq(41)))).await.unwrap();

        assert!(matches!(renewal, Renewal::Renewed(head) if head.seq == settlement.through && head.tag == settlement.records[0].tag));
        assert_eq!(row(db, &id).await.unwrap().applied_seq, Seq(41));
    }

    async fn a_renewal_without_a_row_grants_nothing(db: &Db) {
        let id = ReplicaId::new();

        assert_eq!(db.store.renew_gateway(&id, None).await.unwrap(), Renewal::Unknown);

        assert_eq!(row(db, &id).await, None, "and makes none");
    }

    async fn a_second_joining_of_one_start_is_a_conflict(db: &Db) {
        let id = ReplicaId::new();
        db.store.join_gateway(&id, LEASE).await.unwrap();

        let again = db.store.join_gateway(&id, LEASE).await;

        assert!(matches!(again, Err(StoreError::Conflict(_))), "{again:?}");
    }

    async fn only_a_row_that_still_stands_at_its_beat_is_forgotten(db: &Db) {
        let id = ReplicaId::new();
        db.store.join_gateway(&id, LEASE).await.unwrap();
        let joined = row(db, &id).await.unwrap().beat;
        db.store.renew_gateway(&id, None).await.unwrap();

        db.store.forget_gateway(&id, joined).await.unwrap();
        assert_eq!(row(db, &id).await.unwrap().beat, joined + 1, "it has beaten meanwhile");
        db.store.forget_gateway(&id, joined + 1).await.unwrap();

        assert_eq!(row(db, &id).await, None);
        assert_eq!(db.store.renew_gateway(&id, None).await.unwrap(), Renewal::Unknown);
    }

    async fn a_row_made_anew_is_not_taken_for_the_one_that_stood_still(db: &Db) {
        let at = |seconds| BootTime(Duration::from_secs(seconds));
        let (id, mut beats) = (ReplicaId::new(), Beats::default());
        db.store.join_gateway(&id, LEASE).await.unwrap();
        db.store.renew_gateway(&id, None).await.unwrap();
        beats.note(&db.store.gateways().await.unwrap(), at(0));
        let rows = db.store.gateways().await.unwrap();
        beats.note(&rows, at(600));
        db.store.forget_gateway(&id, rows[0].beat).await.unwrap();

        // The gateway was cut off and is back: it finds its row gone, joins anew, and holds a lease from now on.
        db.store.join_gateway(&id, LEASE).await.unwrap();
        db.store.renew_gateway(&id, None).await.unwrap();
        let settlement = db.store.revoke(Draft::end(&db.acme, vec![Scope::Workspace], "test.revoked")).await.unwrap();
        let rows = db.store.gateways().await.unwrap();
        beats.note(&rows, at(601));

        let target = Target { generation: &settlement.records[0].generation, seq: settlement.through, committed_by: at(601) };
        assert_eq!(standing(&rows[0], target, &beats, &Acks::default(), at(601)), Standing::Awaited);
    }

    async fn a_renewal_whose_commit_comes_after_a_deactivation_sees_it(db: &Db) {
        let id = ReplicaId::new();
        db.store.join_gateway(&id, LEASE).await.unwrap();
        let joined = row(db, &id).await.unwrap().beat;
        let renewing = tokio::spawn({
            let (store, id) = (db.store.clone(), id.clone());
            async move {
                let mut heads = Vec::new();
                for _ in 0..60 {
                    let Renewal::Renewed(head) = store.renew_gateway(&id, None).await.unwrap() else { panic!("the row is there") };
                    heads.push(head.seq);
                }
                heads
            }
        });

        // What the waiter does: commit, then read the beat. A beat that it does not see yet must carry a head that has the place.
        let mut seen = Vec::new();
        while !renewing.is_finished() {
            let through = db.store.revoke(Draft::end(&db.acme, vec![Scope::Workspace], "test.revoked")).await.unwrap().through;
            seen.push((through, usize::try_from(row(db, &id).await.unwrap().beat - joined).unwrap()));
        }

        let heads = renewing.await.unwrap();
        for (through, beat) in seen {
            assert!(heads[beat..].iter().all(|head| *head >= through), "beats after {beat} have {through}: {heads:?}");
        }
    }
}
