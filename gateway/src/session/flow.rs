//! A sign-in on its way: everything that its callback must be held against, sealed into a cookie of the browser that started
//! it. Nothing is stored on the server, so that a flood of started sign-ins costs nothing.

use std::time::Duration;

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue};
use lockstep_shared::{
    clock::Timestamp,
    id::{ConnectionId, Generation, WorkspaceId},
    model::revocation::Seq,
    secret::{Sealer, SecretError},
};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use url::form_urlencoded;

use super::cookie;

const NAME_PREFIX: &str = "__Host-lockstep-flow-";
const PURPOSE: &str = "lockstep login flow";
const LIFETIME: Duration = Duration::from_mins(10);
/// How far the clocks of two gateways may be apart.
const SKEW: Duration = Duration::from_mins(1);
/// A browser follows a redirect at once.
const KEPT_FOR: Duration = Duration::from_mins(1);
/// What an authorization response consists of.
const ANSWER: [&str; 4] = ["state", "code", "error", "iss"];
/// Sign-ins on their way in one browser: a few tabs.
const MOST: usize = 5;
/// And their size together, since every request carries them.
const MOST_BYTES: usize = 8 * 1024;

/// One sign-in on its way.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// The form of this record.
    pub v: u8,
    /// The `state` that was sent.
    pub state: String,
    /// The workspace to sign in to.
    pub workspace: WorkspaceId,
    /// The connection that was chosen before the browser was sent away.
    pub connection: ConnectionId,
    /// Its issuer at that time.
    pub issuer: String,
    /// The nonce that was sent.
    pub nonce: String,
    /// The PKCE verifier.
    pub pkce_verifier: String,
    /// The revocation log's incarnation before the browser was sent away.
    #[serde(rename = "gen")]
    pub generation: Generation,
    /// The log's head before the browser was sent away.
    pub mint_seq: Seq,
    /// Where to go afterwards; already validated.
    pub rd: String,
    /// When it started.
    pub started_at: Timestamp,
}

impl Flow {
    /// The form that this program writes.
    pub const VERSION: u8 = 1;
}

impl std::fmt::Debug for Flow {
    /// State, nonce and verifier stay out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flow").field("workspace", &self.workspace).field("connection", &self.connection).finish_non_exhaustive()
    }
}

/// Why a callback belongs to no sign-in of this browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FlowError {
    /// Another browser started it, it was finished before, or the cookie is gone.
    #[error("this browser has no sign-in with this state: it was started elsewhere or is already finished")]
    Unknown,
    /// The cookie was altered, or sealed by a key that is no longer in the ring.
    #[error("the sign-in's cookie could not be opened")]
    Forged,
    /// Older than ten minutes.
    #[error("the sign-in took longer than ten minutes")]
    Expired,
    /// Too large for a cookie.
    #[error("the sign-in does not fit into a cookie")]
    TooLarge,
    /// The system has no randomness to give.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

/// Seals and opens the cookies of sign-ins.
#[derive(Debug, Clone)]
pub struct FlowCookies {
    sealer: Sealer,
}

impl FlowCookies {
    /// Cookies under these keys.
    #[must_use]
    pub fn new(sealer: Sealer) -> Self {
        Self { sealer }
    }

    /// The `Set-Cookie` headers that start a sign-in: its own cookie, and the end of those that are too many.
    pub fn start(&self, flow: &Flow, headers: &HeaderMap) -> Result<Vec<HeaderValue>, FlowError> {
        let name = name_of(&flow.state);
        let value = self.seal(flow, &name)?;
        let own = cookie::set(&name, &value, Some(LIFETIME.as_secs())).ok_or(FlowError::TooLarge)?;
        if own.len() > cookie::SIZE_LIMIT {
            return Err(FlowError::TooLarge);
        }
        let mut all = self.surplus(headers, name.len() + value.len());
        all.push(own);
        Ok(all)
    }

    /// Opens the sign-in that an answer's `state` names, in the browser that started it.
    pub fn open(&self, headers: &HeaderMap, state: &str, now: Timestamp) -> Result<Flow, FlowError> {
        let name = name_of(state);
        let value = cookie::read(headers, &name).ok_or(FlowError::Unknown)?;
        let flow = self.unseal(&name, value)?;
        if !bool::from(flow.state.as_bytes().ct_eq(state.as_bytes())) {
            return Err(FlowError::Unknown);
        }
        let from_the_future = flow.started_at.since(now) > SKEW;
        if from_the_future || now.since(flow.started_at) > LIFETIME { Err(FlowError::Expired) } else { Ok(flow) }
    }

    /// The `Set-Cookie` header that ends a sign-in; sent with every outcome of its callback.
    #[must_use]
    pub fn finish(&self, state: &str) -> Option<HeaderValue> {
        cookie::clear(&name_of(state))
    }

    /// Keeps an answer that was posted, for the browser to come back with. Only what an answer consists of is kept; nothing is on
    /// the server, and its `state` sees to it that it counts once.
    pub fn keep_answer(&self, connection: &ConnectionId, form: &str, now: Timestamp) -> Result<String, FlowError> {
        let pairs = form_urlencoded::parse(form.as_bytes()).filter(|(name, _)| ANSWER.contains(&name.as_ref()));
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let plain = serde_json::to_vec(&KeptAnswer { form, at: now }).map_err(|_| FlowError::TooLarge)?;
        let ticket = self.sealer.seal(&answer_purpose(connection), &plain)?;
        if ticket.len() > cookie::SIZE_LIMIT { Err(FlowError::TooLarge) } else { Ok(ticket) }
    }

    /// The answer behind a ticket of this connection, for a minute.
    pub fn kept_answer(&self, connection: &ConnectionId, ticket: &str, now: Timestamp) -> Result<String, FlowError> {
        let plain = self.sealer.open(&answer_purpose(connection), ticket).map_err(|_| FlowError::Forged)?;
        let kept: KeptAnswer = serde_json::from_slice(&plain).map_err(|_| FlowError::Forged)?;
        if kept.at.since(now) > SKEW || now.since(kept.at) > KEPT_FOR + SKEW { Err(FlowError::Expired) } else { Ok(kept.form) }
    }

    /// The name is bound in, so that the cookie of one state is not that of another.
    fn seal(&self, flow: &Flow, name: &str) -> Result<String, FlowError> {
        let plain = serde_json::to_vec(flow).map_err(|_| FlowError::TooLarge)?;
        Ok(self.sealer.seal(&format!("{PURPOSE} {name}"), &plain)?)
    }

    fn unseal(&self, name: &str, value: &str) -> Result<Flow, FlowError> {
        let plain = self.sealer.open(&format!("{PURPOSE} {name}"), value).map_err(|_| FlowError::Forged)?;
        let flow: Flow = serde_json::from_slice(&plain).map_err(|_| FlowError::Forged)?;
        if flow.v == Flow::VERSION { Ok(flow) } else { Err(FlowError::Forged) }
    }

    /// Ends what cannot be opened, and of the rest the oldest until a new one of `size` fits.
    fn surplus(&self, headers: &HeaderMap, size: usize) -> Vec<HeaderValue> {
        let mut kept: Vec<(Timestamp, String, usize)> = Vec::new();
        let mut ended: Vec<String> = Vec::new();
        for (name, value) in cookie::pairs(headers) {
            let Some(name) = std::str::from_utf8(name).ok().filter(|name| is_name(name)) else { continue };
            // Each one ended costs an answer's header, so a planted thousand is not worked through.
            if ended.len() >= 4 * MOST {
                break;
            }
            match std::str::from_utf8(value).ok().and_then(|value| self.unseal(name, value).ok()) {
                Some(flow) => kept.push((flow.started_at, name.to_owned(), name.len() + value.len())),
                None => ended.push(name.to_owned()),
            }
        }
        kept.sort_by_key(|(started_at, ..)| std::cmp::Reverse(*started_at));
        let mut bytes = size;
        let mut count = 1;
        for (_, name, its_size) in kept {
            bytes += its_size;
            count += 1;
            if count > MOST || bytes > MOST_BYTES {
                ended.push(name);
            }
        }
        ended.iter().filter_map(|name| cookie::clear(name)).collect()
    }
}

/// A posted answer on its way back to the browser that it belongs to.
#[derive(Serialize, Deserialize)]
struct KeptAnswer {
    form: String,
    at: Timestamp,
}

fn answer_purpose(connection: &ConnectionId) -> String {
    format!("lockstep posted answer {connection}")
}

/// One cookie per state: two sign-ins in two tabs do not take each other's place.
fn name_of(state: &str) -> String {
    let hash = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, state.as_bytes()));
    format!("{NAME_PREFIX}{}", hash.chars().take(16).collect::<String>())
}

fn is_name(name: &str) -> bool {
    let hash = name.strip_prefix(NAME_PREFIX);
    hash.is_some_and(|hash| {
        hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    })
}

#[cfg(test)]
mod tests {
    use http::header;
    use lockstep_shared::secret::Key;
    use serde_json::{Value, json};

    use super::*;

    const START: Timestamp = Timestamp(1_767_225_600_000);

    fn cookies(byte: u8) -> FlowCookies {
        FlowCookies::new(Sealer::new(vec![Key::from_bytes([byte; 32])]).unwrap())
    }

    fn flow(state: &str) -> Flow {
        Flow {
            v: Flow::VERSION,
            state: state.into(),
            workspace: WorkspaceId::parse("acme").unwrap(),
            connection: ConnectionId::parse("acme-entra").unwrap(),
            issuer: "https://idp.example".into(),
            nonce: "n".repeat(43),
            pkce_verifier: "p".repeat(43),
            generation: Generation::parse(&"0".repeat(32)).unwrap(),
            mint_seq: Seq(17),
            rd: "/app".into(),
            started_at: START,
        }
    }

    /// What the browser sends after these `Set-Cookie` headers.
    fn browser(set: &[HeaderValue]) -> HeaderMap {
        let pairs = set.iter().map(|line| line.to_str().unwrap().split(';').next().unwrap().to_owned());
        let kept: Vec<_> = pairs.filter(|pair| !pair.ends_with('=')).collect();
        [(header::COOKIE, HeaderValue::try_from(kept.join("; ")).unwrap())].into_iter().collect()
    }

    fn started(flow: &Flow) -> HeaderMap {
        browser(&cookies(1).start(flow, &HeaderMap::new()).unwrap())
    }

    #[test]
    fn a_flow_comes_back_to_the_browser_that_started_it() {
        let flow = flow("state-1");

        assert_eq!(cookies(1).open(&started(&flow), "state-1", START), Ok(flow));
    }

    #[test]
    fn p7_p9_a_callback_elsewhere_or_with_another_state_finds_no_flow() {
        let browser = started(&flow("state-1"));

        assert_eq!(cookies(1).open(&HeaderMap::new(), "state-1", START), Err(FlowError::Unknown));
        for other in ["state-2", "", "state-1 ", "STATE-1"] {
            assert_eq!(cookies(1).open(&browser, other, START), Err(FlowError::Unknown), "{other}");
        }
    }

    #[test]
    fn a_cookie_under_the_name_of_another_state_does_not_open() {
        let line = started(&flow("state-1"))[header::COOKIE].to_str().unwrap().to_owned();
        let moved = line.replace(&name_of("state-1"), &name_of("state-2"));
        let browser = [(header::COOKIE, HeaderValue::try_from(moved).unwrap())].into_iter().collect();

        assert_eq!(cookies(1).open(&browser, "state-2", START), Err(FlowError::Forged));
    }

    #[test]
    fn a_flow_sealed_by_another_key_or_in_another_form_does_not_open() {
        let browser_of = |name: &str, value: String| {
            [(header::COOKIE, HeaderValue::try_from(format!("{name}={value}")).unwrap())].into_iter().collect::<HeaderMap>()
        };
        let name = name_of("s");
        let sealed = |value: &Value| cookies(1).sealer.seal(&format!("{PURPOSE} {name}"), value.to_string().as_bytes()).unwrap();
        let opened = |value: &Value| cookies(1).open(&browser_of(&name, sealed(value)), "s", START);

        assert_eq!(cookies(2).open(&started(&flow("s")), "s", START), Err(FlowError::Forged));
        let mut record = serde_json::to_value(flow("s")).unwrap();
        record["later"] = json!("a member that a newer gateway adds");
        assert_eq!(opened(&record), Ok(flow("s")), "new members do not keep an older gateway from reading");
        record["v"] = json!(2);
        assert_eq!(opened(&record), Err(FlowError::Forged), "another form does");
        assert_eq!(opened(&json!({"v": 1})), Err(FlowError::Forged));
        let other_purpose = cookies(1).sealer.seal("client secret", serde_json::to_vec(&flow("s")).unwrap().as_slice()).unwrap();
        assert_eq!(cookies(1).open(&browser_of(&name, other_purpose), "s", START), Err(FlowError::Forged));
    }

    #[test]
    fn the_form_of_the_record_is_fixed() {
        let written = serde_json::to_string(&flow("s")).unwrap();

        let (n, p, g) = ("n".repeat(43), "p".repeat(43), "0".repeat(32));
        assert_eq!(
            written,
            format!(
                r#"{{"v":1,"state":"s","workspace":"acme","connection":"acme-entra","issuer":"https://idp.example","nonce":"{n}","pkce_verifier":"{p}","gen":"{g}","mint_seq":17,"rd":"/app","started_at":1767225600000}}"#
            )
        );
    }

    #[test]
    fn g50_a_flow_lasts_ten_minutes() {
        let browser = started(&flow("s"));
        let at = |offset: i64| cookies(1).open(&browser, "s", Timestamp(START.0 + offset)).map(|_| ());

        assert_eq!(at(600_000), Ok(()));
        assert_eq!(at(600_001), Err(FlowError::Expired));
        assert_eq!(at(-60_000), Ok(()));
        assert_eq!(at(-60_001), Err(FlowError::Expired));
    }

    #[test]
    fn a9_a_browser_keeps_the_five_newest_flows() {
        let mut jar = HeaderMap::new();
        let mut lines: Vec<HeaderValue> = Vec::new();
        for n in 0..8_i64 {
            let flow = Flow { started_at: Timestamp(START.0 + n), ..flow(&format!("s{n}")) };
            let set = cookies(1).start(&flow, &jar).unwrap();
            for line in &set {
                let name = line.to_str().unwrap().split('=').next().unwrap().to_owned();
                lines.retain(|kept| !kept.to_str().unwrap().starts_with(&name));
                lines.push(line.clone());
            }
            jar = browser(&lines);
        }

        let open = |n: i64| cookies(1).open(&jar, &format!("s{n}"), START).is_ok();
        assert_eq!((0..8).filter(|n| open(*n)).collect::<Vec<_>>(), [3, 4, 5, 6, 7]);
    }

    #[test]
    fn a9_long_and_planted_flows_give_way() {
        let long =
            |n: i64| Flow { rd: format!("/{}", "x".repeat(2000)), started_at: Timestamp(START.0 + n), ..flow(&format!("l{n}")) };
        let both: Vec<_> = (0..2).flat_map(|n| cookies(1).start(&long(n), &HeaderMap::new()).unwrap()).collect();
        let kept = browser(&both)[header::COOKIE].to_str().unwrap().to_owned();
        let line = format!("{kept}; {NAME_PREFIX}{}=planted; other=1", "A".repeat(16));
        let jar = [(header::COOKIE, HeaderValue::try_from(line).unwrap())].into_iter().collect();

        let set = cookies(1).start(&long(2), &jar).unwrap();

        let ended: Vec<_> = set.iter().filter(|line| line.to_str().unwrap().ends_with("Max-Age=0")).collect();
        assert_eq!(ended.len(), 2, "the planted one and the oldest: {ended:?}");
        assert!(ended.iter().any(|line| line.to_str().unwrap().starts_with(&name_of("l0"))));
        let huge = Flow { rd: "x".repeat(4000), ..flow("h") };
        assert_eq!(cookies(1).start(&huge, &HeaderMap::new()), Err(FlowError::TooLarge));
    }

    #[test]
    fn secrets_of_a_flow_are_not_printed() {
        let printed = format!("{:?}", flow("state-canary"));

        assert!(!printed.contains("canary") && !printed.contains("nnnn") && !printed.contains("pppp"), "{printed}");
    }

    #[test]
    fn a_posted_answer_comes_back_with_its_ticket_at_its_connection_for_a_minute() {
        let connection = |id| ConnectionId::parse(id).unwrap();
        let form = "code=a%2Bb&state=s&session_state=x&iss=https%3A%2F%2Fidp.example&code=c";

        let ticket = cookies(1).keep_answer(&connection("acme-entra"), form, START).unwrap();

        let open = |byte, id, now: Timestamp| cookies(byte).kept_answer(&connection(id), &ticket, now);
        let later = |seconds| START.plus(Duration::from_secs(seconds));
        assert_eq!(open(1, "acme-entra", START).unwrap(), "code=a%2Bb&state=s&iss=https%3A%2F%2Fidp.example&code=c");
        assert!(open(1, "acme-entra", later(60)).is_ok());
        assert!(matches!(open(1, "acme-entra", later(300)), Err(FlowError::Expired)));
        assert!(matches!(open(1, "acme-okta", START), Err(FlowError::Forged)));
        assert!(matches!(open(2, "acme-entra", START), Err(FlowError::Forged)));
        assert!(!ticket.contains("idp"), "the code is in nobody's history");
        let long = format!("code={}&state=s", "x".repeat(4000));
        assert!(matches!(cookies(1).keep_answer(&connection("acme-entra"), &long, START), Err(FlowError::TooLarge)));
    }
}
