-- SCIM beyond the standard's minimum: what a workspace asks of its provider, the provider's other ways in, and the provisioning log.

-- What a workspace asks of its provider: one document, and its version, by which a process knows that its compiled copy is old.
ALTER TABLE workspaces ADD COLUMN scim TEXT NOT NULL DEFAULT '{}';
ALTER TABLE workspaces ADD COLUMN scim_version BIGINT NOT NULL DEFAULT 0;
