//! Sessions in Redis: one key a session that lives to its absolute end, and one sorted set a person that finds them.

use async_trait::async_trait;
use redis::Cmd;

use super::{RecordKey, SessionStore, SessionStoreError};
use crate::{
    bus::{BusError, RedisLink},
    clock::{SharedClock, Timestamp},
    id::{SessionId, UserId, WorkspaceId},
    model::session::Session,
    secret::sha256_hex,
};

/// Sessions in Redis.
#[derive(Debug, Clone)]
pub struct RedisSessions {
    link: RedisLink,
    prefix: String,
    key: RecordKey,
    clock: SharedClock,
}

impl RedisSessions {
    /// Sessions behind this link, under keys that begin with `prefix`, sealed by this key.
    #[must_use]
    pub fn new(link: RedisLink, prefix: &str, key: RecordKey, clock: SharedClock) -> Self {
        Self { link, prefix: prefix.to_owned(), key, clock }
    }

    fn session_key(&self, workspace: &WorkspaceId, id: &SessionId) -> String {
        format!("{}:session:{workspace}:{id}", self.prefix)
    }

    fn user_key(&self, workspace: &WorkspaceId, user: &UserId) -> String {
        format!("{}:sessions-of:{workspace}:{user}", self.prefix)
    }
}

impl From<BusError> for SessionStoreError {
    fn from(error: BusError) -> Self {
        Self::Unavailable(error.into())
    }
}

#[async_trait]
impl SessionStore for RedisSessions {
    async fn put(&self, session: &Session) -> Result<(), SessionStoreError> {
        let sealed = self.key.seal(session)?;
        let of_user = self.user_key(&session.workspace, &session.user);
        let mut steps = redis::pipe();
        steps
            .cmd("SET")
            .arg(self.session_key(&session.workspace, &session.id))
            .arg(sealed)
            .arg("PXAT")
            .arg(session.expires_at.0)
            .ignore()
            .cmd("ZADD")
            .arg(&of_user)
            .arg(session.expires_at.0)
            .arg(session.id.as_str())
            .ignore()
            .cmd("ZREMRANGEBYSCORE")
            .arg(&of_user)
            .arg("-inf")
            .arg(self.clock.now().0)
            .ignore()
            .cmd("PEXPIREAT")
            .arg(&of_user)
            .arg(session.expires_at.0)
            .arg("GT")
            .ignore()
            .cmd("PEXPIREAT")
            .arg(&of_user)
            .arg(session.expires_at.0)
            .arg("NX")
            .ignore();
        Ok(self.link.pipeline::<()>(&steps).await?)
    }

    async fn replace(&self, session: &Session) -> Result<(), SessionStoreError> {
        let sealed = self.key.seal(session)?;
        let mut set = Cmd::new();
        set.arg("SET").arg(self.session_key(&session.workspace, &session.id)).arg(sealed).arg("XX").arg("KEEPTTL");
        let _: Option<String> = self.link.command(&set).await?;
        Ok(())
    }

    async fn get(&self, workspace: &WorkspaceId, id: &SessionId) -> Result<Option<Session>, SessionStoreError> {
        let mut get = Cmd::new();
        get.arg("GET").arg(self.session_key(workspace, id));
        match self.link.command::<Option<String>>(&get).await? {
            Some(sealed) => self.key.open(workspace, id, &sealed).map(Some),
            None => Ok(None),
        }
    }

    async fn of_user(&self, workspace: &WorkspaceId, user: &UserId) -> Result<Vec<Session>, SessionStoreError> {
        let mut range = Cmd::new();
        range.arg("ZRANGE").arg(self.user_key(workspace, user)).arg(0).arg(-1);
        let mut sessions = Vec::new();
        for text in self.link.command::<Vec<String>>(&range).await? {
            if let Ok(id) = SessionId::parse(&text) {
                sessions.extend(self.get(workspace, &id).await?);
            }
        }
        Ok(sessions)
    }

    async fn delete(&self, workspace: &WorkspaceId, id: &SessionId, user: &UserId) -> Result<(), SessionStoreError> {
        let mut steps = redis::pipe();
        steps
            .cmd("DEL")
            .arg(self.session_key(workspace, id))
            .ignore()
            .cmd("ZREM")
            .arg(self.user_key(workspace, user))
            .arg(id.as_str())
            .ignore();
        Ok(self.link.pipeline::<()>(&steps).await?)
    }

    async fn use_once(&self, workspace: &WorkspaceId, what: &str, until: Timestamp) -> Result<bool, SessionStoreError> {
        let mut set = Cmd::new();
        set.arg("SET")
            .arg(format!("{}:once:{workspace}:{}", self.prefix, sha256_hex(what.as_bytes())))
            .arg(1)
            .arg("NX")
            .arg("PXAT")
            .arg(until.0);
        Ok(self.link.command::<Option<String>>(&set).await?.is_some())
    }
}
