//! Workspaces with their connections and domains: what an operator sets, and whose sessions that ends.

use lockstep_shared::{
    id::ConnectionId,
    model::{
        audit::Actor,
        connection::{Connection, ConnectionState, Link, Preset},
        revocation::{RevocationKind, Scope, Seq},
        user::LoginMethod,
        workspace::{Enforcement, Plan, Stage, WorkspaceState},
    },
    store::{ConnectionDetails, NewConnection, Settlement, StoreError},
};

use super::{Db, on_each_engine, workspace};

fn operator() -> Actor {
    Actor::operator()
}

fn connection(id: &str) -> ConnectionId {
    ConnectionId::parse(id).unwrap()
}

fn complete() -> ConnectionDetails {
    ConnectionDetails {
        issuer: Some("https://idp.example".into()),
        client_id: Some("client".into()),
        client_secret: Some("hush".into()),
        link: None,
    }
}

async fn add(db: &Db, id: &str, details: ConnectionDetails) -> Connection {
    let new = NewConnection { id: connection(id), preset: Preset::Entra, details };
    db.store.add_connection(&db.acme, new, &operator()).await.unwrap()
}

fn ends(settlement: &Settlement, scope: &Scope) -> bool {
    matches!(settlement.records.as_slice(), [record] if record.kind == RevocationKind::End && record.scopes == [scope.clone()])
}

on_each_engine! {
    async fn a_workspace_reads_back_and_its_id_is_taken(db: &Db) {
        let read = db.store.workspace(&db.acme).await.unwrap().unwrap();

        assert_eq!((read.name.as_str(), read.plan, read.state), ("A company", Plan::Enterprise, WorkspaceState::Active));
        assert_eq!((read.enforcement, read.stage, read.scim_enabled), (Enforcement::Off, Stage::default(), false));
        let again = db.store.create_workspace(&db.acme, "Other", Plan::Free, &operator()).await;
        assert!(matches!(again, Err(StoreError::Conflict("the workspace id"))), "{again:?}");
        assert_eq!(db.store.workspace(&workspace("nowhere")).await.unwrap(), None);
    }

    async fn what_an_operator_sets_reads_back(db: &Db) {
        db.store.rename_workspace(&db.acme, "Acme Inc.", &operator()).await.unwrap();
        db.store.set_plan(&db.acme, Plan::Free, &operator()).await.unwrap();
        db.store.set_scim(&db.acme, true, &operator()).await.unwrap();

        let read = db.store.workspace(&db.acme).await.unwrap().unwrap();

        assert_eq!((read.name.as_str(), read.plan, read.scim_enabled), ("Acme Inc.", Plan::Free, true));
        assert_eq!(db.actions().await, ["scim.enabled", "workspace.plan_changed", "workspace.renamed", "workspace.created"]);
        db.store.set_scim(&db.acme, false, &operator()).await.unwrap();
        assert!(!db.store.workspace(&db.acme).await.unwrap().unwrap().scim_enabled);
    }

    async fn settings_of_no_workspace_find_none(db: &Db) {
        let nowhere = workspace("nowhere");
        let off = Stage::default();

        for refused in [
            db.store.rename_workspace(&nowhere, "x", &operator()).await,
            db.store.set_plan(&nowhere, Plan::Free, &operator()).await,
            db.store.set_scim(&nowhere, true, &operator()).await,
            db.store.set_workspace_state(&nowhere, WorkspaceState::Suspended, &operator()).await.map(drop),
            db.store.set_enforcement(&nowhere, Enforcement::Enforced, &off, &operator(), None).await.map(drop),
            db.store.add_domain(&nowhere, "acme.com", &operator()).await,
        ] {
            assert!(matches!(refused, Err(StoreError::NotFound(_))), "{refused:?}");
        }
        assert_eq!(db.head().await, Seq(0));
    }

    async fn closing_a_workspace_ends_every_session_in_it(db: &Db) {
        let closed = db.store.set_workspace_state(&db.acme, WorkspaceState::Suspended, &operator()).await.unwrap();
        let opened = db.store.set_workspace_state(&db.acme, WorkspaceState::Active, &operator()).await.unwrap();

        assert!(ends(&closed, &Scope::Workspace), "{closed:?}");
        assert_eq!(opened, Settlement::default());
        assert_eq!(db.store.workspace(&db.acme).await.unwrap().unwrap().state, WorkspaceState::Active);
    }

    async fn demanding_sso_ends_the_sessions_made_with_a_password(db: &Db) {
        let stage = Stage { users: vec!["babs".into()], groups: vec!["pilots".into()], percent: 20 };
        let scope = Scope::Method { method: LoginMethod::Password };

        for (enforcement, ending) in [(Enforcement::Staged, true), (Enforcement::Enforced, true), (Enforcement::Off, false)] {
            let settlement = db.store.set_enforcement(&db.acme, enforcement, &stage, &operator(), Some("asked")).await.unwrap();

            assert_eq!(ends(&settlement, &scope), ending, "{enforcement}");
            let read = db.store.workspace(&db.acme).await.unwrap().unwrap();
            assert_eq!((read.enforcement, &read.stage), (enforcement, &stage));
        }
    }

    async fn a_connection_is_a_draft_until_it_is_complete(db: &Db) {
        let draft = add(db, "acme-entra", ConnectionDetails::default()).await;
        let details = ConnectionDetails { issuer: Some("https://idp.example".into()), ..ConnectionDetails::default() };
        let (half, _) = db.store.set_connection(&db.acme, &draft.id, details, &operator()).await.unwrap();
        let details = ConnectionDetails { issuer: None, link: Some(Link::Email), ..complete() };
        let (whole, settlement) = db.store.set_connection(&db.acme, &draft.id, details, &operator()).await.unwrap();

        assert_eq!((draft.state, half.state, whole.state), (ConnectionState::Draft, ConnectionState::Draft, ConnectionState::Active));
        assert_eq!((draft.link, whole.link.clone()), (Preset::Entra.link(), Link::Email));
        assert_eq!(settlement, Settlement::default(), "nobody has come in through a draft");
        assert_eq!(db.store.connection(&db.acme, &draft.id).await.unwrap(), Some(whole.clone()));
        assert_eq!(db.store.client_secret(&whole).unwrap().as_deref(), Some("hush"));
        assert!(!whole.sealed_secret.unwrap().contains("hush"));
        assert_eq!(db.store.client_secret(&half).unwrap(), None);
    }

    async fn a_secret_moved_to_another_connection_does_not_open(db: &Db) {
        let (one, mut two) = (add(db, "one", complete()).await, add(db, "two", complete()).await);

        two.sealed_secret = one.sealed_secret;

        assert!(matches!(db.store.client_secret(&two), Err(StoreError::Secret(_))));
    }

    async fn connections_are_listed_and_found_by_their_id_alone(db: &Db) {
        let one = add(db, "one", complete()).await;
        db.clock.step_wall(1);
        let two = add(db, "two", ConnectionDetails::default()).await;

        assert_eq!(db.store.connections(&db.acme).await.unwrap(), vec![one.clone(), two]);
        assert_eq!(db.store.workspace_of_connection(&one.id).await.unwrap(), Some(db.acme.clone()));
        assert_eq!(db.store.workspace_of_connection(&connection("three")).await.unwrap(), None);
    }

    async fn a_connection_id_is_taken_in_the_whole_deployment(db: &Db) {
        add(db, "one", complete()).await;
        let other = db.workspace("other").await;

        for owner in [&db.acme, &other] {
            let new = NewConnection { id: connection("one"), preset: Preset::Okta, details: complete() };
            let taken = db.store.add_connection(owner, new, &operator()).await;
            assert!(matches!(taken, Err(StoreError::Conflict("the connection id"))), "{owner}: {taken:?}");
        }
    }

    async fn another_issuer_or_client_ends_the_sessions_of_a_connection(db: &Db) {
        let one = add(db, "one", complete()).await;
        let scope = Scope::Connection { id: one.id.clone() };
        let set = async |details| db.store.set_connection(&db.acme, &one.id, details, &operator()).await.unwrap().1;

        let secret = set(ConnectionDetails { client_secret: Some("new".into()), ..ConnectionDetails::default() }).await;
        let issuer = set(ConnectionDetails { issuer: Some("https://other.example".into()), ..ConnectionDetails::default() }).await;
        let client = set(ConnectionDetails { client_id: Some("other".into()), ..ConnectionDetails::default() }).await;

        assert_eq!(secret, Settlement::default());
        assert!(ends(&issuer, &scope) && ends(&client, &scope), "{issuer:?} {client:?}");
    }

    async fn disabling_and_removing_a_connection_end_its_sessions(db: &Db) {
        let one = add(db, "one", complete()).await;
        let scope = Scope::Connection { id: one.id.clone() };

        let disabled = db.store.disable_connection(&db.acme, &one.id, &operator()).await.unwrap();
        assert_eq!(db.store.connection(&db.acme, &one.id).await.unwrap().unwrap().state, ConnectionState::Disabled);
        let removed = db.store.remove_connection(&db.acme, &one.id, &operator()).await.unwrap();

        assert!(ends(&disabled, &scope) && ends(&removed, &scope), "{disabled:?} {removed:?}");
        assert_eq!(db.store.connection(&db.acme, &one.id).await.unwrap(), None);
        for refused in [
            db.store.disable_connection(&db.acme, &one.id, &operator()).await.map(drop),
            db.store.remove_connection(&db.acme, &one.id, &operator()).await.map(drop),
            db.store.set_connection(&db.acme, &one.id, complete(), &operator()).await.map(drop),
        ] {
            assert!(matches!(refused, Err(StoreError::NotFound("connection"))), "{refused:?}");
        }
    }

    async fn settings_of_one_connection_at_once_lose_nothing(db: &Db) {
        let one = add(db, "one", ConnectionDetails::default()).await;
        let parts = [
            ConnectionDetails { issuer: Some("https://idp.example".into()), ..ConnectionDetails::default() },
            ConnectionDetails { client_id: Some("client".into()), ..ConnectionDetails::default() },
            ConnectionDetails { client_secret: Some("hush".into()), ..ConnectionDetails::default() },
            ConnectionDetails { link: Some(Link::None), ..ConnectionDetails::default() },
        ];

        let mut tasks = tokio::task::JoinSet::new();
        for details in parts {
            let (store, acme, id) = (db.store.clone(), db.acme.clone(), one.id.clone());
            tasks.spawn(async move { store.set_connection(&acme, &id, details, &operator()).await.unwrap() });
        }
        tasks.join_all().await;

        let read = db.store.connection(&db.acme, &one.id).await.unwrap().unwrap();
        assert_eq!((read.state, read.link), (ConnectionState::Active, Link::None));
    }

    async fn a_domain_is_owned_once_it_is_proven(db: &Db) {
        let other = db.workspace("other").await;
        db.store.add_domain(&db.acme, "acme.com", &operator()).await.unwrap();
        db.store.add_domain(&other, "acme.com", &operator()).await.unwrap();
        db.store.add_domain(&db.acme, "acme.org", &operator()).await.unwrap();

        db.store.verify_domain(&db.acme, "acme.com", &operator()).await.unwrap();

        let domains = db.store.domains(&db.acme).await.unwrap();
        let shown: Vec<_> = domains.iter().map(|domain| (domain.domain.as_str(), domain.verified_at.is_some())).collect();
        assert_eq!(shown, [("acme.com", true), ("acme.org", false)]);
        assert_eq!(db.store.workspaces_of_domain("acme.com").await.unwrap(), vec![db.acme.clone()]);
        assert_eq!(db.store.workspaces_of_domain("acme.org").await.unwrap(), vec![]);
        let again = db.store.add_domain(&db.acme, "acme.com", &operator()).await;
        assert!(matches!(again, Err(StoreError::Conflict("the domain"))), "{again:?}");
        let unknown = db.store.verify_domain(&db.acme, "acme.net", &operator()).await;
        assert!(matches!(unknown, Err(StoreError::NotFound("domain"))), "{unknown:?}");
    }
}
