//! Makes a session of a sign-in. Its place in the log is the one that was read before the browser was sent to sign in, so that
//! whatever took access away meanwhile ends it at birth.

use std::sync::Arc;

use http::HeaderValue;
use lockstep_shared::{
    clock::SharedClock,
    config::SessionLimits,
    id::{Generation, WorkspaceId},
    model::{
        revocation::Seq,
        session::{Session, SignedInBy},
    },
    secret::SecretError,
    session::{SessionStore, SessionStoreError},
    store::SignedIn,
};

use super::{
    cookie::{SessionKeys, SessionSecret},
    guard::Guard,
    live::Live,
};

/// Why a session was not made.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The log has begun a new incarnation since the sign-in began: sign in again.
    #[error("the revocation log has begun a new incarnation since the sign-in began")]
    OtherGeneration,
    /// The session store did not keep it.
    #[error(transparent)]
    Sessions(#[from] SessionStoreError),
    /// No randomness.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The cookie cannot be written as a header; a bug.
    #[error("the session cookie cannot be written")]
    Cookie,
}

/// The place in the log before a sign-in began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mint {
    /// The log's incarnation.
    pub generation: Generation,
    /// The head.
    pub seq: Seq,
}

/// Makes sessions.
#[derive(Clone)]
pub struct Issuer {
    /// The ring behind the session cookie.
    pub keys: Arc<SessionKeys>,
    /// Where sessions live.
    pub sessions: Arc<dyn SessionStore>,
    /// Who holds them.
    pub guard: Guard,
    /// Where time comes from.
    pub clock: SharedClock,
    /// How long they live.
    pub limits: SessionLimits,
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Issuer(…)")
    }
}

impl Issuer {
    /// Makes a session with a secret of its own and answers with its cookie.
    pub async fn issue(
        &self,
        workspace: &WorkspaceId,
        signed_in: SignedIn,
        by: SignedInBy,
        mint: Mint,
    ) -> Result<(Arc<Live>, HeaderValue), IssueError> {
        if signed_in.fresh.generation != mint.generation {
            return Err(IssueError::OtherGeneration);
        }
        let secret = SessionSecret::new()?;
        let now = self.clock.now();
        let session = Session {
            v: Session::VERSION,
            id: secret.id(),
            workspace: workspace.clone(),
            user: signed_in.user,
            by,
            generation: mint.generation,
            mint_seq: mint.seq,
            attr_seq: signed_in.fresh.seq,
            created_at: now,
            expires_at: now.plus(self.limits.absolute),
            last_seen_at: now,
            person: self.guard.told(signed_in.person, &signed_in.profile),
        };
        self.sessions.put(&session).await?;
        let cookie = self.keys.set_cookie(workspace, &secret).ok_or(IssueError::Cookie)?;
        Ok((self.guard.hold(session), cookie))
    }
}
