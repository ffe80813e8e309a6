-- Notices by mail: whom a workspace has told, and what is on its way.

-- Whom an operator has told. "user_id" is the person whose address it is, as far as it is known: they are told while they have access.
CREATE TABLE recipients (
    workspace_id TEXT COLLATE "binary" NOT NULL REFERENCES workspaces (id),
    address_key TEXT COLLATE "binary" NOT NULL,
    address TEXT NOT NULL,
    user_id TEXT COLLATE "binary",
    created_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, address_key)
);

-- One row a notice and recipient, written with what it tells of. Who sends it claims it for a while: a process that dies leaves it
-- to the others. What is sent or given up has an end and no content.
CREATE TABLE outbox (
    workspace_id TEXT COLLATE "binary" NOT NULL REFERENCES workspaces (id),
    id TEXT COLLATE "binary" NOT NULL,
    kind TEXT NOT NULL,
    address_key TEXT COLLATE "binary" NOT NULL,
    address TEXT NOT NULL,
    content TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    claimed_until BIGINT NOT NULL,
    ended_at BIGINT NOT NULL,
    answer TEXT NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX outbox_waiting ON outbox (due_at) WHERE state = 'waiting';
CREATE INDEX outbox_by_end ON outbox (ended_at) WHERE ended_at > 0;
