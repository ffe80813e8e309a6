-- SCIM beyond the standard's minimum: what a workspace asks of its provider, the provider's other ways in, and the provisioning log.

-- What a workspace asks of its provider: one document, and its version, by which a process knows that its compiled copy is old.
ALTER TABLE workspaces ADD COLUMN scim TEXT NOT NULL DEFAULT '{}';
ALTER TABLE workspaces ADD COLUMN scim_version BIGINT NOT NULL DEFAULT 0;

-- Groups become access: which roles and teams the workspace's people have by their groups.
ALTER TABLE workspaces ADD COLUMN mapping TEXT NOT NULL DEFAULT '{}';

-- Whether there may be a session of theirs: 1 for good before a link or a password is hung on the person. While it is 0, a change of
-- the person's attributes has nobody to tell.
ALTER TABLE users ADD COLUMN may_have_sessions BIGINT NOT NULL DEFAULT 1;

-- An externalId may be repeated: Entra sends mailNickname there unless told otherwise, which is not unique in a directory.
DROP INDEX users_external_id;
CREATE INDEX users_by_external_id ON users (workspace_id, external_id, id);

-- What the provider calls a member, where it said so.
ALTER TABLE group_members ADD COLUMN display TEXT;

-- The provisioning log. Ids sort by time; `sentence` is there where something went wrong, `people` where members were named.
CREATE TABLE provisioning_log (
    workspace_id TEXT COLLATE "binary" NOT NULL,
    id TEXT COLLATE "binary" NOT NULL,
    at BIGINT NOT NULL,
    request TEXT NOT NULL,
    credential TEXT NOT NULL,
    client TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT COLLATE "binary" NOT NULL,
    status BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    sentence TEXT,
    detail TEXT NOT NULL,
    people TEXT,
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX provisioning_log_by_time ON provisioning_log (at);
CREATE INDEX provisioning_log_by_target ON provisioning_log (workspace_id, target, id) WHERE target <> '';
CREATE INDEX provisioning_log_by_sentence ON provisioning_log (workspace_id, id) WHERE sentence IS NOT NULL;
CREATE INDEX provisioning_log_by_people ON provisioning_log (workspace_id, id) WHERE people IS NOT NULL;

-- The provider's other ways in. Beside the static tokens: passwords of HTTP Basic, and what OAuth clients were granted.
ALTER TABLE tokens ADD COLUMN kind TEXT NOT NULL DEFAULT 'bearer';
ALTER TABLE tokens ADD COLUMN user_name TEXT;
ALTER TABLE tokens ADD COLUMN client_id TEXT COLLATE "binary";
CREATE INDEX tokens_by_client ON tokens (workspace_id, client_id) WHERE client_id IS NOT NULL;
CREATE INDEX tokens_by_end ON tokens (expires_at) WHERE kind = 'oauth';

-- A client shows a secret of ours, or an assertion that its issuer signs.
CREATE TABLE oauth_clients (
    workspace_id TEXT COLLATE "binary" NOT NULL REFERENCES workspaces (id),
    id TEXT COLLATE "binary" NOT NULL,
    proof TEXT NOT NULL,
    secret_digest TEXT,
    issuer TEXT,
    jwks_url TEXT,
    subject TEXT,
    audience TEXT,
    token_lifetime_ms BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT,
    revoked_at BIGINT,
    PRIMARY KEY (workspace_id, id)
);

-- The mass-change guard. One row a workspace, made when its provider first takes access away: who takes access away holds its lock
-- to the end. "allowance" is how many more people may leave before anybody has to be counted; zero asks for a count.
CREATE TABLE guards (
    workspace_id TEXT COLLATE "binary" PRIMARY KEY REFERENCES workspaces (id),
    is_on BIGINT NOT NULL,
    max_people BIGINT NOT NULL,
    percent BIGINT NOT NULL,
    allowance BIGINT NOT NULL,
    released_until BIGINT NOT NULL,
    held_at BIGINT NOT NULL,
    held_requests BIGINT NOT NULL,
    told_at BIGINT NOT NULL
);
-- From whom the provider took access, and when: their account (group_id is empty), or a group.
CREATE TABLE departures (
    workspace_id TEXT COLLATE "binary" NOT NULL,
    user_id TEXT COLLATE "binary" NOT NULL,
    group_id TEXT COLLATE "binary" NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, user_id, group_id)
);
CREATE INDEX departures_by_time ON departures (workspace_id, at);

-- People who were invited and belong to the directory since. "waits": they keep their password until a connection is in use.
CREATE TABLE adoptions (
    workspace_id TEXT COLLATE "binary" NOT NULL,
    user_id TEXT COLLATE "binary" NOT NULL,
    at BIGINT NOT NULL,
    actor_kind TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    waits BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, user_id)
);

-- Whose an identity of the provider was, after that person was deleted: an e-mail address alone never gives it to the next one.
CREATE TABLE former_links (
    workspace_id TEXT COLLATE "binary" NOT NULL,
    connection_id TEXT COLLATE "binary" NOT NULL,
    issuer TEXT COLLATE "binary" NOT NULL,
    subject TEXT COLLATE "binary" NOT NULL,
    user_id TEXT COLLATE "binary" NOT NULL,
    external_id TEXT COLLATE "binary",
    ended_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, connection_id, issuer, subject)
);
