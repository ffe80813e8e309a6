//! What comes before a request is read: the limits, the door, and the name by which the log will know the request.

use std::sync::Arc;

use http::{HeaderValue, header, request::Parts};

use super::{
    ScimService,
    caller::{Caller, may_carry_credential},
    failure::Failure,
    request_id,
};
use crate::{
    journal::{Origin, Reason},
    limits::{Busy, Overload, address_of},
    scim::ScimError,
};

impl ScimService {
    /// Lets a caller in when it is its turn; the answer's first part is the service for this one request.
    pub(super) async fn admit(&self, workspace: &str, parts: &Parts) -> Result<(Self, Caller), Failure> {
        let user_agent = parts.headers.get(header::USER_AGENT).and_then(|name| name.to_str().ok()).unwrap_or_default();
        let turn_away = |busy: Busy| {
            self.journal.turned_away(workspace, &Reason::Busy(busy.why), user_agent);
            Failure::from(busy)
        };
        let credential = may_carry_credential(&parts.headers).then(|| parts.headers.get(header::AUTHORIZATION)).flatten();
        let from = address_of(parts, &self.trusted_proxies);
        let knock = self.limits.knock(workspace, credential.map(HeaderValue::as_bytes), from).await.map_err(turn_away)?;
        let admitted = self.door.admit(workspace, &parts.headers).await;
        match admitted {
            Ok(caller) => {
                let pass = Arc::new(self.limits.welcome(knock, &caller.workspace.id).await.map_err(turn_away)?);
                let service = Self { inner: self.inner.clone(), barrier: self.barrier.holding(pass) };
                let origin = Arc::new(Origin::new(request_id(parts), user_agent));
                Ok((service, Caller { origin, ..caller }))
            }
            Err(failure) => {
                if let Failure::Told(ScimError::Unauthorized) = failure {
                    self.limits.unwelcome(&knock);
                    let reason = if credential.is_some() { Reason::BadCredential } else { Reason::NoCredential };
                    self.journal.turned_away(workspace, &reason, user_agent);
                } else if let Failure::Told(ScimError::Forbidden(why)) = &failure {
                    self.journal.turned_away(workspace, &Reason::Closed(why.clone()), user_agent);
                }
                Err(failure)
            }
        }
    }
}

impl From<Busy> for Failure {
    fn from(busy: Busy) -> Self {
        let Busy { why, retry_after } = busy;
        match why {
            Overload::Rate | Overload::Crowd | Overload::Strangers => Self::Told(ScimError::RateLimited { retry_after }),
        }
    }
}
