//! The receipt: which gateways confirmed, how soon, and which were waited out. It goes into the audit trail.

use serde::Serialize;

use crate::{id::ReplicaId, model::revocation::Seq};

/// A gateway that confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Confirmation {
    /// The gateway.
    pub gateway: ReplicaId,
    /// How long after the commit, in milliseconds.
    pub after_ms: u64,
}

/// A gateway whose lease was waited out: it has been answering nobody since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WaitedOut {
    /// The gateway.
    pub gateway: ReplicaId,
    /// How long after the commit, in milliseconds.
    pub after_ms: u64,
}

/// What a barrier found out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// The place that every gateway has passed.
    pub seq: Seq,
    /// How long the barrier took, in milliseconds.
    pub took_ms: u64,
    /// The same in microseconds: with every gateway near, it is not many.
    pub took_us: u64,
    /// Who confirmed.
    pub confirmed: Vec<Confirmation>,
    /// Who was waited out.
    pub waited_out: Vec<WaitedOut>,
}
