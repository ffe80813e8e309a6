//! `receipt`: which gateways confirmed that somebody is out, how soon, and which were waited out.

use lockstep_shared::{
    id::WorkspaceId,
    model::{audit::AuditRecord, revocation::Seq},
    revoke::Receipt,
};
use serde_json::{Value, json};

use super::{Context, OpsError, Output};

/// How the audit trail calls a receipt.
const ACTION: &str = "access.settled";
/// How far back the last receipt is looked for.
const LOOK_BACK: u32 = 10_000;

/// The commands on receipts.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Show a receipt
    Show {
        /// The workspace
        workspace: WorkspaceId,
        /// The revocation's number; without it, the last one
        #[arg(value_parser = clap::value_parser!(i64).range(1..))]
        seq: Option<i64>,
    },
}

pub(super) async fn run(command: Command, context: &Context) -> Result<Output, OpsError> {
    let Command::Show { workspace, seq } = command;
    context.workspace(&workspace).await?;
    let (target, limit) = match seq {
        Some(seq) => (Some(Seq(seq).to_string()), 1_000),
        None => (None, LOOK_BACK),
    };
    let records = context.store().await?.audit_trail(&workspace, target.as_deref(), limit).await?;
    let record = records.into_iter().find(|record| record.action == ACTION);
    record.map(|record| show(&record)).ok_or(OpsError::UnknownReceipt { workspace })
}

fn show(record: &AuditRecord) -> Output {
    let gateways = |list: &str, how: &str| -> Vec<Vec<String>> {
        let listed = record.detail.get(list).and_then(Value::as_array).into_iter().flatten();
        listed
            .map(|entry| {
                let gateway = entry.get("gateway").and_then(Value::as_str).unwrap_or_default();
                let after = entry.get("after_ms").and_then(Value::as_u64).unwrap_or_default();
                vec![gateway.to_owned(), how.to_owned(), format!("{after} ms")]
            })
            .collect()
    };
    let took = record.detail.get("took_ms").and_then(Value::as_u64).unwrap_or_default();
    let lines = gateways("confirmed", "confirmed").into_iter().chain(gateways("waited_out", "waited out"));
    let mut described = record.detail.clone();
    if let Some(members) = described.as_object_mut() {
        members.insert("id".to_owned(), json!(record.id));
        members.insert("workspace".to_owned(), json!(record.workspace));
        members.insert("at".to_owned(), json!(record.at.to_string()));
    }
    Output::of(described)
        .heading(format!("Revocation {} of workspace {}: settled in {took} ms, {}", record.target, record.workspace, record.at))
        .table(&["GATEWAY", "HOW", "AFTER"], lines)
}

/// A receipt as the commands answer it.
pub(super) fn describe(receipt: &Receipt) -> Value {
    json!(receipt)
}

/// A receipt in half a sentence.
pub(super) fn in_short(receipt: &Receipt) -> String {
    let (confirmed, waited_out) = (receipt.confirmed.len(), receipt.waited_out.len());
    let (all, took) = (confirmed + waited_out, receipt.took_ms);
    match (all, waited_out) {
        (0, _) if receipt.seq == Seq::default() => "nobody had to be signed out".to_owned(),
        (0, _) => "out; no gateway is running".to_owned(),
        (_, 0) => format!("out on {confirmed} of {all} gateways in {took} ms"),
        (_, _) => format!("out on {confirmed} of {all} gateways, {waited_out} more waited out, in {took} ms"),
    }
}

#[cfg(test)]
mod tests {
    use lockstep_shared::{
        id::ReplicaId,
        revoke::{Confirmation, WaitedOut},
    };

    use super::*;

    #[test]
    fn a_receipt_says_in_short_who_confirmed_and_who_was_waited_out() {
        let confirmed = vec![
            Confirmation { gateway: ReplicaId::new(), after_ms: 2 },
            Confirmation { gateway: ReplicaId::new(), after_ms: 3 },
        ];
        let all = Receipt { seq: Seq(4), took_ms: 3, took_us: 3_100, confirmed: confirmed.clone(), waited_out: Vec::new() };
        let waited_out = vec![WaitedOut { gateway: ReplicaId::new(), after_ms: 10_200 }];

        assert_eq!(in_short(&all), "out on 2 of 2 gateways in 3 ms");
        assert_eq!(
            in_short(&Receipt { waited_out, took_ms: 10_201, ..all }),
            "out on 2 of 3 gateways, 1 more waited out, in 10201 ms"
        );
        assert_eq!(in_short(&Receipt { seq: Seq(4), ..Receipt::default() }), "out; no gateway is running");
        assert_eq!(in_short(&Receipt::default()), "nobody had to be signed out");
    }
}
