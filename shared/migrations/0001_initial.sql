-- TEXT and BIGINT alone, one text for SQLite and PostgreSQL. "binary" is SQLite's own collation and is made in PostgreSQL
-- (as C) before this runs, so that names sort and compare the same on both. Times are milliseconds since 1970.

CREATE TABLE workspaces (
    id TEXT COLLATE "binary" PRIMARY KEY,
    name TEXT NOT NULL,
    plan TEXT NOT NULL,
    state TEXT NOT NULL,
    enforcement TEXT NOT NULL,
    stage TEXT NOT NULL,
    scim_enabled BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE domains (
    workspace_id TEXT COLLATE "binary" NOT NULL REFERENCES workspaces (id),
    domain TEXT COLLATE "binary" NOT NULL,
    verified_at BIGINT,
    verified_by TEXT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, domain)
);
CREATE INDEX domains_by_name ON domains (domain);

CREATE TABLE connections (
    workspace_id TEXT COLLATE "binary" NOT NULL REFERENCES workspaces (id),
    id TEXT COLLATE "binary" NOT NULL,
    preset TEXT NOT NULL,
    state TEXT NOT NULL,
    issuer TEXT,
    client_id TEXT,
    sealed_secret TEXT,
    link TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE UNIQUE INDEX connections_by_id ON connections (id);

CREATE TABLE tokens (
    workspace_id TEXT COLLATE "binary" NOT NULL REFERENCES workspaces (id),
    id TEXT COLLATE "binary" NOT NULL,
    digest TEXT COLLATE "binary" NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    last_used_at BIGINT,
    revoked_at BIGINT,
    PRIMARY KEY (workspace_id, id)
);
CREATE UNIQUE INDEX tokens_by_digest ON tokens (workspace_id, digest);

CREATE TABLE users (
    workspace_id TEXT COLLATE "binary" NOT NULL REFERENCES workspaces (id),
    id TEXT COLLATE "binary" NOT NULL,
    user_name TEXT NOT NULL,
    user_name_key TEXT COLLATE "binary" NOT NULL,
    external_id TEXT COLLATE "binary",
    active BIGINT NOT NULL,
    attributes TEXT NOT NULL,
    origin TEXT NOT NULL,
    login_method TEXT NOT NULL,
    version BIGINT NOT NULL,
    ended_seq BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE UNIQUE INDEX users_user_name ON users (workspace_id, user_name_key);
-- A password sign-in names no workspace; only who has a password is found so.
CREATE INDEX users_by_password_name ON users (user_name_key) WHERE login_method = 'password';
CREATE UNIQUE INDEX users_external_id ON users (workspace_id, external_id);

CREATE TABLE user_emails (
    workspace_id TEXT COLLATE "binary" NOT NULL,
    user_id TEXT COLLATE "binary" NOT NULL,
    email_key TEXT COLLATE "binary" NOT NULL,
    PRIMARY KEY (workspace_id, email_key, user_id)
);
CREATE INDEX user_emails_by_user ON user_emails (workspace_id, user_id);

-- A deleted user's id and the revocation that ended the access: a repeated DELETE waits for it as the first did.
CREATE TABLE user_tombstones (
    workspace_id TEXT COLLATE "binary" NOT NULL,
    id TEXT COLLATE "binary" NOT NULL,
    ended_seq BIGINT NOT NULL,
    deleted_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, id)
);

CREATE TABLE groups (
    workspace_id TEXT COLLATE "binary" NOT NULL REFERENCES workspaces (id),
    id TEXT COLLATE "binary" NOT NULL,
    display_name TEXT NOT NULL,
    display_name_key TEXT COLLATE "binary" NOT NULL,
    external_id TEXT COLLATE "binary",
    attributes TEXT NOT NULL,
    version BIGINT NOT NULL,
    changed_seq BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE UNIQUE INDEX groups_display_name ON groups (workspace_id, display_name_key);
CREATE UNIQUE INDEX groups_external_id ON groups (workspace_id, external_id);

-- member_id names a user or a group of the workspace, or nobody yet.
CREATE TABLE group_members (
    workspace_id TEXT COLLATE "binary" NOT NULL,
    group_id TEXT COLLATE "binary" NOT NULL,
    member_id TEXT COLLATE "binary" NOT NULL,
    PRIMARY KEY (workspace_id, group_id, member_id)
);
CREATE INDEX group_members_by_member ON group_members (workspace_id, member_id, group_id);

-- A deleted group's id and the revocation that changed its members.
CREATE TABLE group_tombstones (
    workspace_id TEXT COLLATE "binary" NOT NULL,
    id TEXT COLLATE "binary" NOT NULL,
    changed_seq BIGINT NOT NULL,
    deleted_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, id)
);

-- A person is (connection, issuer, subject): linked once, never changed by a later sign-in.
CREATE TABLE links (
    workspace_id TEXT COLLATE "binary" NOT NULL,
    connection_id TEXT COLLATE "binary" NOT NULL,
    issuer TEXT COLLATE "binary" NOT NULL,
    subject TEXT COLLATE "binary" NOT NULL,
    user_id TEXT COLLATE "binary" NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, connection_id, issuer, subject),
    FOREIGN KEY (workspace_id, user_id) REFERENCES users (workspace_id, id)
);
CREATE UNIQUE INDEX links_by_user ON links (workspace_id, user_id, connection_id);

CREATE TABLE passwords (
    workspace_id TEXT COLLATE "binary" NOT NULL,
    user_id TEXT COLLATE "binary" NOT NULL,
    hash TEXT NOT NULL,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, user_id),
    FOREIGN KEY (workspace_id, user_id) REFERENCES users (workspace_id, id)
);

CREATE TABLE invitations (
    workspace_id TEXT COLLATE "binary" NOT NULL,
    digest TEXT COLLATE "binary" NOT NULL,
    user_id TEXT COLLATE "binary" NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, digest),
    FOREIGN KEY (workspace_id, user_id) REFERENCES users (workspace_id, id)
);

-- The revocation log. Its one counter row is updated as the last step of the transaction that takes access away, so that
-- places are gap-free and in the order of commits.
CREATE TABLE rev_head (
    id BIGINT PRIMARY KEY,
    generation TEXT NOT NULL,
    seq BIGINT NOT NULL,
    tag TEXT NOT NULL,
    floor BIGINT NOT NULL
);
CREATE TABLE revocations (
    generation TEXT COLLATE "binary" NOT NULL,
    seq BIGINT NOT NULL,
    tag TEXT NOT NULL,
    workspace_id TEXT COLLATE "binary",
    kind TEXT NOT NULL,
    scopes TEXT NOT NULL,
    reason TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (generation, seq)
);

-- One row for each running gateway process.
CREATE TABLE gateways (
    id TEXT COLLATE "binary" PRIMARY KEY,
    state TEXT NOT NULL,
    lease_ms BIGINT NOT NULL,
    beat BIGINT NOT NULL,
    applied_generation TEXT NOT NULL,
    applied_seq BIGINT NOT NULL,
    started_at BIGINT NOT NULL
);

-- Sessions, where there is no Redis.
CREATE TABLE sessions (
    workspace_id TEXT COLLATE "binary" NOT NULL,
    id TEXT COLLATE "binary" NOT NULL,
    user_id TEXT COLLATE "binary" NOT NULL,
    sealed TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX sessions_by_user ON sessions (workspace_id, user_id);
CREATE INDEX sessions_by_end ON sessions (expires_at);

-- What may be used once, where there is no Redis: sign-in states, hand-off tickets.
CREATE TABLE used_once (
    workspace_id TEXT COLLATE "binary" NOT NULL,
    digest TEXT COLLATE "binary" NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, digest)
);
CREATE INDEX used_once_by_end ON used_once (expires_at);

CREATE TABLE keys (
    purpose TEXT COLLATE "binary" NOT NULL,
    number BIGINT NOT NULL,
    sealed TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (purpose, number)
);

CREATE TABLE audit (
    workspace_id TEXT COLLATE "binary" NOT NULL,
    id TEXT COLLATE "binary" NOT NULL,
    at BIGINT NOT NULL,
    actor_kind TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX audit_by_target ON audit (workspace_id, target, id);
