//! The revocation log: gap-free, in the order of commits, never rewritten; its floor and its incarnations.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use lockstep_shared::{
    clock::{Clock as _, Timestamp},
    id::{Generation, WorkspaceId},
    model::revocation::{Draft, Revocation, RevocationKind, Scope, Seq},
    store::{Engine, Store, StoreError},
};
use tokio::task::JoinSet;

use super::{DAY, Db, edit, on_each_engine, set_active};

const WRITERS: usize = 32;
const EACH: usize = 6;

/// Reads the log as a gateway does until it is told to stop, and once more after that.
async fn follow(store: Store, stop: Arc<AtomicBool>) -> Vec<Revocation> {
    let mut read: Vec<Revocation> = Vec::new();
    loop {
        let last = stop.load(Ordering::SeqCst);
        let head = store.head().await.unwrap();
        let after = read.last().map_or(Seq(0), |record| record.seq);
        let rows = store.revocations_after(&head.generation, after).await.unwrap();
        for record in rows.records {
            let expected = read.last().map_or(Seq(1), |record| record.seq.next());
            assert_eq!(record.seq, expected, "a reader never meets a gap");
            read.push(record);
        }
        assert!(read.last().map_or(Seq(0), |record| record.seq) >= head.seq, "what the head counts can be read");
        if last {
            return read;
        }
    }
}

/// Polls a future some times and then drops it, as a client's hang-up does.
async fn abandon(future: impl Future, polls: usize) {
    let (mut future, mut left) = (pin!(future), polls);
    std::future::poll_fn(|context| {
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Pending if left > 0 => Poll::Pending,
            Poll::Pending | Poll::Ready(_) => Poll::Ready(()),
        }
    })
    .await;
}

fn sign_out(workspace: &WorkspaceId) -> Draft {
    Draft::end(workspace, vec![Scope::Workspace], "test.revoked")
}

on_each_engine! {
    async fn a_new_log_is_empty_and_migrating_again_leaves_it(db: &Db) {
        let before = db.store.head().await.unwrap();
        drop(db.store.revoke(sign_out(&db.acme)).await.unwrap());

        db.store.migrate().await.unwrap();

        let after = db.store.head().await.unwrap();
        assert_eq!((before.seq, before.tag.as_str(), before.floor), (Seq(0), "", Seq(0)));
        assert_eq!((after.generation, after.seq), (before.generation, Seq(1)));
    }

    async fn a_row_reads_back_as_it_was_returned_and_its_tag_is_the_heads(db: &Db) {
        let draft = Draft { workspace: None, kind: RevocationKind::End, scopes: vec![Scope::Everyone], reason: "test.revoked" };

        let settlement = db.store.revoke(draft).await.unwrap();

        let head = db.store.head().await.unwrap();
        assert_eq!(db.log().await, settlement.records);
        assert_eq!((settlement.through, settlement.records[0].tag.len()), (head.seq, 16));
        assert_eq!(settlement.records[0].tag, head.tag);
        assert_eq!(settlement.records[0].workspace, None);
    }

    async fn a_log_longer_than_a_stretch_is_read_in_stretches(db: &Db) {
        let mut connection = db.connection().await;
        let head = db.store.revoke(sign_out(&db.acme)).await.unwrap().records.remove(0);
        // 2,100 rows by hand: appending them one by one takes long.
        for seq in 2..=2_100_i64 {
            sqlx::query(
                "INSERT INTO revocations (generation, seq, tag, workspace_id, kind, scopes, reason, at)
                 VALUES ($1, $2, 'tag', NULL, 'end', '[]', 'test.revoked', 0)",
            )
            .bind(head.generation.as_str())
            .bind(seq)
            .execute(&mut connection)
            .await
            .unwrap();
        }

        let first = db.store.revocations_after(&head.generation, Seq(0)).await.unwrap();
        let last = db.store.revocations_after(&head.generation, Seq(2_000)).await.unwrap();

        assert_eq!((first.records.len(), first.more), (1_000, true));
        assert_eq!((last.records.len(), last.more), (100, false));
        assert_eq!(db.log().await.len(), 2_100);
        assert_eq!(db.store.revocations_after(&Generation::random(), Seq(0)).await.unwrap().records, vec![]);
    }

    async fn places_are_gap_free_in_the_order_of_commits_under_32_writers(db: &Db) {
        db.user("taken").await;
        let stop = Arc::new(AtomicBool::new(false));
        let mut readers = JoinSet::new();
        for _ in 0..2 {
            readers.spawn(follow(db.opened_again(db.clock.clone()), stop.clone()));
        }
        let mut people = Vec::new();
        for number in 0..WRITERS {
            people.push(db.user(&format!("user-{number}")).await.id);
        }

        let mut writers = JoinSet::new();
        for (number, id) in people.into_iter().enumerate() {
            let (store, acme) = (db.store.clone(), db.acme.clone());
            writers.spawn(async move {
                let mut places = Vec::new();
                for round in 0..EACH {
                    places.push(set_active(&store, &acme, &id, round % 2 == 1).await.unwrap());
                    // One that fails half way, and one that is dropped at any point, the commit included.
                    let clash = edit(&store, &acme, &id, |profile| {
                        profile.active = !profile.active;
                        profile.user_name = "TAKEN".into();
                    });
                    assert!(matches!(clash.await, Err(StoreError::Conflict("userName"))));
                    abandon(store.revoke(sign_out(&acme)), 1 + (number + round) % 9).await;
                }
                places
            });
        }
        let settlements: Vec<_> = writers.join_all().await.into_iter().flatten().collect();
        stop.store(true, Ordering::SeqCst);

        let reads = readers.join_all().await;
        // After the last of them: a commit that was dropped in the middle may take effect until now.
        let log = db.log().await;
        for read in reads {
            assert_eq!(read[..], log[..read.len()]);
            assert!(read.len() >= WRITERS * EACH);
        }
        assert_eq!(settlements.len(), WRITERS * EACH);
        for settlement in settlements {
            let [record] = settlement.records.as_slice() else { panic!("one row each: {settlement:?}") };
            let place = usize::try_from(record.seq.0).unwrap();
            assert_eq!(&log[place - 1], record);
        }
    }

    async fn who_takes_nothing_away_does_not_wait_for_who_does(db: &Db) {
        if db.store.engine() == Engine::Sqlite {
            // One writer at a time: nothing to be seen.
            return;
        }
        let babs = db.user("babs").await;
        let mut connection = db.connection().await;
        sqlx::raw_sql("BEGIN; UPDATE rev_head SET seq = seq WHERE id = 1").execute(&mut connection).await.unwrap();

        tokio::time::timeout(Duration::from_secs(5), db.user("other")).await.expect("creating waits for nobody");
        let mut deactivation = pin!(db.set_active(&babs.id, false));
        let early = tokio::time::timeout(Duration::from_millis(200), &mut deactivation).await;
        assert!(early.is_err(), "the place is taken under the lock of the one counter row");
        sqlx::raw_sql("ROLLBACK").execute(&mut connection).await.unwrap();

        assert_eq!(deactivation.await.through, Seq(1));
    }

    async fn pruning_raises_the_floor_to_the_last_row_that_went(db: &Db) {
        for _ in 0..3 {
            drop(db.store.revoke(sign_out(&db.acme)).await.unwrap());
        }
        db.clock.advance(DAY);
        for _ in 0..2 {
            drop(db.store.revoke(sign_out(&db.acme)).await.unwrap());
        }

        let floor = db.store.prune_revocations(db.clock.now().minus(DAY / 2)).await.unwrap();
        let again = db.store.prune_revocations(db.clock.now().minus(DAY * 2)).await.unwrap();

        assert_eq!((floor, again), (Seq(3), Seq(3)), "a floor never sinks");
        let head = db.store.head().await.unwrap();
        assert_eq!((head.floor, head.seq), (Seq(3), Seq(5)));
        let rest = db.store.revocations_after(&head.generation, head.floor).await.unwrap();
        assert_eq!(rest.records.iter().map(|record| record.seq).collect::<Vec<_>>(), [Seq(4), Seq(5)]);
        assert_eq!(db.store.revocations_after(&head.generation, Seq(0)).await.unwrap().records, rest.records);
    }

    async fn a_row_by_a_clock_that_is_behind_costs_the_newer_ones_nothing(db: &Db) {
        for _ in 0..2 {
            drop(db.store.revoke(sign_out(&db.acme)).await.unwrap());
        }
        db.clock.step_wall(-400 * 86_400_000);
        drop(db.store.revoke(sign_out(&db.acme)).await.unwrap());
        db.clock.step_wall(400 * 86_400_000);

        let floor = db.store.prune_revocations(db.clock.now().minus(DAY)).await.unwrap();

        assert_eq!((floor, db.log().await.len()), (Seq(0), 3));
    }

    async fn pruning_everything_leaves_the_head(db: &Db) {
        drop(db.store.revoke(sign_out(&db.acme)).await.unwrap());
        let before = db.store.head().await.unwrap();
        db.clock.advance(DAY);

        let floor = db.store.prune_revocations(db.clock.now()).await.unwrap();

        let after = db.store.head().await.unwrap();
        assert_eq!((floor, after.seq, &after.tag), (Seq(1), Seq(1), &before.tag));
        assert_eq!(db.store.revoke(sign_out(&db.acme)).await.unwrap().through, Seq(2));
    }

    async fn a_new_generation_outdates_every_session_and_goes_on_counting(db: &Db) {
        for _ in 0..3 {
            drop(db.store.revoke(sign_out(&db.acme)).await.unwrap());
        }
        let before = db.store.head().await.unwrap();

        let after = db.store.new_generation().await.unwrap();

        assert_ne!(after.generation, before.generation);
        assert_eq!((after.seq, after.floor), (Seq(4), Seq(4)), "above every mint_seq there was");
        assert_eq!(db.store.head().await.unwrap(), after);
        assert_eq!(db.store.revoke(sign_out(&db.acme)).await.unwrap().through, Seq(5));
        assert_eq!(db.store.revocations_after(&after.generation, after.floor).await.unwrap().records.len(), 1);
        assert_eq!(db.store.revocations_after(&before.generation, Seq(0)).await.unwrap().records.len(), 3);
        db.store.prune_revocations(Timestamp(0)).await.unwrap();
        assert_eq!(db.store.revocations_after(&before.generation, Seq(0)).await.unwrap().records, vec![], "the old log goes");
        assert_eq!(db.log().await.len(), 1, "the new one stays");
    }
}
