//! No look-up reads a table from its beginning to its end: the database itself says how it goes about each.

use lockstep_shared::store::INDEXED;
use sqlx::{AnyConnection, AssertSqlSafe, Executor as _, Row as _};

use super::Db;

const USERS: &str = "
    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 3000)
    INSERT INTO users (workspace_id, id, user_name, user_name_key, external_id, active, attributes, origin, login_method,
        may_have_sessions, version, ended_seq, created_at, updated_at)
    SELECT 'acme', 'user-' || n, 'user-' || n, 'user-' || n, 'external-' || n, 1, '{}', 'provisioned', 'sso', 0, 1, 0, 0, 0 FROM numbers";
const EMAILS: &str = "
    INSERT INTO user_emails (workspace_id, user_id, email_key) SELECT workspace_id, id, id || '@acme.com' FROM users";
const GROUPS: &str = "
    INSERT INTO groups (workspace_id, id, display_name, display_name_key, external_id, attributes, version, changed_seq, created_at,
        updated_at)
    SELECT workspace_id, id, id, id, external_id, '{}', 1, 0, 0, 0 FROM users";
const MEMBERS: &str = "
    INSERT INTO group_members (workspace_id, group_id, member_id) SELECT workspace_id, 'user-1', id FROM users
    UNION ALL SELECT workspace_id, id, 'user-1' FROM users WHERE id <> 'user-1'";
const WORKSPACES: &str = "
    INSERT INTO workspaces (id, name, plan, state, enforcement, stage, scim_enabled, created_at)
    SELECT id, id, 'free', 'active', 'off', '{}', 0, 0 FROM users";
const USER_TOMBSTONES: &str = "
    INSERT INTO user_tombstones (workspace_id, id, ended_seq, deleted_at) SELECT workspace_id, 'gone-' || id, 0, 0 FROM users";
const GROUP_TOMBSTONES: &str = "
    INSERT INTO group_tombstones (workspace_id, id, changed_seq, deleted_at) SELECT workspace_id, 'gone-' || id, 0, 0 FROM users";
const LINKS: &str = "
    INSERT INTO links (workspace_id, connection_id, issuer, subject, user_id, created_at)
    SELECT workspace_id, 'acme-idp', 'https://idp.example', id, id, 0 FROM users";
const TOKENS: &str = "
    INSERT INTO tokens (workspace_id, id, digest, created_at, expires_at) SELECT workspace_id, id, id, 0, 0 FROM users";

async fn filled(db: &Db) -> AnyConnection {
    let mut connection = db.connection().await;
    for statement in [USERS, EMAILS, GROUPS, MEMBERS, WORKSPACES, USER_TOMBSTONES, GROUP_TOMBSTONES, LINKS, TOKENS, "ANALYZE"] {
        connection.execute(sqlx::raw_sql(statement)).await.unwrap();
    }
    connection
}

async fn lines(connection: &mut AnyConnection, statement: String, column: &str) -> Vec<String> {
    let rows = connection.fetch_all(sqlx::raw_sql(AssertSqlSafe(statement))).await.unwrap();
    rows.iter().map(|row| row.get(column)).collect()
}

#[tokio::test]
async fn on_sqlite_nothing_is_scanned() {
    let db = Db::sqlite().await;
    let mut connection = filled(&db).await;

    for (name, statement) in INDEXED {
        let plan = lines(&mut connection, format!("EXPLAIN QUERY PLAN {statement}"), "detail").await;

        assert!(!plan.is_empty() && !plan.iter().any(|step| step.starts_with("SCAN")), "{name}: {plan:#?}");
    }
    let scan = lines(&mut connection, "EXPLAIN QUERY PLAN SELECT * FROM users WHERE attributes = 'x'".into(), "detail").await;
    assert!(scan.iter().any(|step| step.starts_with("SCAN")), "a scan would be seen: {scan:?}");
}

#[tokio::test]
async fn on_postgres_nothing_is_scanned() {
    let db = Db::postgres().await;
    let mut connection = filled(&db).await;
    // The plan that is made once for all values: what a connection that lives long uses.
    connection.execute("SET plan_cache_mode = force_generic_plan").await.unwrap();
    let explained = async |connection: &mut AnyConnection, statement: &str| {
        let parameters = (1..=20).take_while(|number| statement.contains(&format!("${number}"))).map(|_| "'1'");
        let values = parameters.collect::<Vec<_>>().join(", ");
        connection.execute(sqlx::raw_sql(AssertSqlSafe(format!("PREPARE asked AS {statement}")))).await.unwrap();
        let plan = lines(connection, format!("EXPLAIN EXECUTE asked ({values})"), "QUERY PLAN").await;
        connection.execute("DEALLOCATE asked").await.unwrap();
        plan
    };

    for (name, statement) in INDEXED {
        let plan = explained(&mut connection, statement).await;

        assert!(!plan.is_empty() && !plan.iter().any(|step| step.contains("Seq Scan")), "{name}: {plan:#?}");
    }
    let scan = explained(&mut connection, "SELECT * FROM users WHERE attributes = $1").await;
    assert!(scan.iter().any(|step| step.contains("Seq Scan")), "a scan would be seen: {scan:?}");
}
