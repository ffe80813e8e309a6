//! What is said on the bus: JSON with a version and a MAC. Pub/sub ignores database numbers and anybody with the password can
//! publish, so a message without our MAC is nobody's.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::BusError;
use crate::{
    id::{Generation, ReplicaId},
    model::revocation::{Revocation, Seq},
    secret::MacKey,
};

/// The form that this program writes and reads.
const VERSION: u8 = 1;

/// A gateway has applied the log up to a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// The log's incarnation.
    #[serde(rename = "gen")]
    pub generation: Generation,
    /// The gateway.
    pub gateway: ReplicaId,
    /// The place.
    pub seq: Seq,
}

/// What may be said on the bus; its kind goes into the MAC, so that one is never taken for the other.
pub(super) trait Message: Serialize + DeserializeOwned {
    const KIND: &'static [u8];
}

impl Message for Revocation {
    const KIND: &'static [u8] = b"revocation";
}

impl Message for Ack {
    const KIND: &'static [u8] = b"ack";
}

#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    v: u8,
    #[serde(flatten)]
    message: T,
    mac: String,
}

pub(super) fn encode<T: Message>(key: &MacKey, message: &T) -> Result<String, BusError> {
    let body = serde_json::to_vec(message).map_err(BusError::Unwritable)?;
    let mac = key.sign(&[T::KIND, &[VERSION], &body]);
    serde_json::to_string(&Envelope { v: VERSION, message, mac }).map_err(BusError::Unwritable)
}

/// Reads a message; `None` for one that is not ours.
pub(super) fn decode<T: Message>(key: &MacKey, text: &[u8]) -> Option<T> {
    let Envelope { v, message, mac } = serde_json::from_slice::<Envelope<T>>(text).ok()?;
    let body = serde_json::to_vec(&message).ok()?;
    (v == VERSION && key.verify(&[T::KIND, &[VERSION], &body], &mac)).then_some(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Timestamp,
        id::WorkspaceId,
        model::revocation::{RevocationKind, Scope},
        secret::Key,
    };

    fn key(byte: u8) -> MacKey {
        MacKey::derive(&Key::from_bytes([byte; 32]), "bus")
    }

    fn record() -> Revocation {
        Revocation {
            generation: Generation::parse(&"0".repeat(32)).unwrap(),
            seq: Seq(7),
            tag: "00000000000000ff".into(),
            workspace: Some(WorkspaceId::parse("acme").unwrap()),
            kind: RevocationKind::End,
            scopes: vec![Scope::Workspace],
            reason: "workspace.suspended".into(),
            at: Timestamp(1_767_225_600_000),
        }
    }

    #[test]
    fn a_message_is_the_documented_json() {
        let text = encode(&key(1), &record()).unwrap();

        let expected = r#"{"v":1,"gen":"00000000000000000000000000000000","seq":7,"tag":"00000000000000ff","workspace":"acme","kind":"end","scopes":[{"scope":"workspace"}],"reason":"workspace.suspended","at":1767225600000,"mac":""#;
        assert!(text.starts_with(expected), "{text}");
        assert_eq!(decode::<Revocation>(&key(1), text.as_bytes()), Some(record()));
    }

    #[test]
    fn a_message_of_another_environment_or_altered_is_nobodys() {
        let text = encode(&key(1), &record()).unwrap();

        assert_eq!(decode::<Revocation>(&key(2), text.as_bytes()), None);
        assert_eq!(decode::<Revocation>(&key(1), text.replace("\"seq\":7", "\"seq\":8").as_bytes()), None);
        assert_eq!(decode::<Revocation>(&key(1), text.replace("\"v\":1", "\"v\":2").as_bytes()), None);
        assert_eq!(decode::<Revocation>(&key(1), b"{}"), None);
        assert_eq!(decode::<Ack>(&key(1), text.as_bytes()), None);
    }
}
