//! What a notice says: plain text for whoever runs the company's directory or this deployment, with the commands to type. It names
//! nobody who is affected, and no name in it can become a header.

use std::time::{Duration, UNIX_EPOCH};

use lettre::{
    Address, Message,
    message::{
        Mailbox,
        header::{ContentType, HeaderName, HeaderValue, MIME_VERSION_1_0},
    },
};
use lockstep_shared::{
    clock::Timestamp,
    config::{Program, Sender},
    id::NoticeId,
    model::notice::{Hold, Letter, Notice},
};

use super::line::one_line;

/// The longest name of a workspace in a subject.
const LONGEST_NAME: usize = 80;
/// The longest subject.
const LONGEST_SUBJECT: usize = 120;

/// Why a notice cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// An address is none.
    #[error("not an address that mail can be sent to")]
    Address(#[from] lettre::address::AddressError),
    /// The parts are no message.
    #[error("not a message")]
    Message(#[from] lettre::error::Error),
}

/// Who writes, and in which words.
#[derive(Debug, Clone)]
pub(crate) struct Style {
    /// Who mail comes from.
    pub(crate) from: Sender,
    /// The program whose name stands in commands.
    pub(crate) program: Program,
}

/// A notice as a message. It has the same name and date however often it is tried, so that two of them are known to be one.
pub(crate) fn render(letter: &Letter, notice: &Notice, style: &Style) -> Result<Message, MessageError> {
    let (subject, text) = match notice {
        Notice::GuardHeld(hold) => held(letter, hold, style.program),
    };
    compose(&letter.id, letter.created_at, &letter.address, style, (&subject, text))
}

/// A message that only shows that mail arrives.
pub(crate) fn probe(address: &str, now: Timestamp, style: &Style) -> Result<Message, MessageError> {
    let text = "This is a test: notices of Lockstep reach this address.\n".to_owned();
    compose(&NoticeId::new(), now, address, style, ("Lockstep can send mail", text))
}

fn compose(
    id: &NoticeId,
    date: Timestamp,
    to: &str,
    style: &Style,
    (subject, text): (&str, String),
) -> Result<Message, MessageError> {
    let Sender { name, address } = &style.from;
    let date = UNIX_EPOCH + Duration::from_secs(u64::try_from(date.seconds()).unwrap_or_default());
    // RFC 3834, section 5: nobody's holiday notice answers to it.
    let automatic = HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned());
    let message = Message::builder()
        .from(Mailbox::new(name.as_deref().map(name_of), address.parse::<Address>()?))
        .to(Mailbox::new(None, to.parse::<Address>()?))
        .subject(one_line(subject, LONGEST_SUBJECT))
        .date(date)
        .message_id(Some(format!("<{id}@{}>", style.from.domain())))
        .raw_header(automatic)
        .header(MIME_VERSION_1_0)
        .header(ContentType::TEXT_PLAIN)
        .body(text)?;
    Ok(message)
}

fn held(letter: &Letter, hold: &Hold, program: Program) -> (String, String) {
    let (workspace, address, name) = (&letter.workspace, &letter.address, name_of(&letter.workspace_name));
    let Hold { credential, excess, since } = hold;
    let (departed, people, limits) = (excess.departed, excess.people, excess.limits);
    let credential = name_of(credential);
    let subject = format!("Held: a mass removal in {name}");
    let text = format!(
        "The identity provider of {name} (workspace {workspace}) wants to take\n\
         access from {departed} of {people} people within an hour. That is more than\n\
         {max} people and more than {percent} %, so it is held until somebody says that it\n\
         is meant. Nobody has lost access through what is held; what came before\n\
         the limit was reached has passed.\n\
         \n\
         Held since   {since}\n\
         Credential   {credential}\n\
         \n\
         To look:\n\
         \n\
         {program} scim guard {workspace}\n\
         {program} log tail {workspace} --refused --since 1d\n\
         \n\
         If it is meant, let it pass for a day:\n\
         \n\
         {program} scim guard {workspace} approve\n\
         \n\
         If it is not, mend it at the identity provider: a group was emptied, or\n\
         the scope of provisioning was changed. Nothing has to be undone here.\n\
         \n\
         The provider was told to come again, and does so by itself. There is one\n\
         such mail an hour at the most while something is held.\n\
         \n\
         -- \n\
         To hear no more of workspace {workspace}:\n\
         {program} workspace notify {workspace} --remove {address}\n",
        max = limits.max,
        percent = limits.percent,
    );
    (subject, text)
}

fn name_of(text: &str) -> String {
    one_line(text, LONGEST_NAME)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use lockstep_shared::{
        id::WorkspaceId,
        model::guard::{Excess, Limits},
    };

    use super::*;

    fn style() -> Style {
        let from = Sender { name: Some("Lockstep".into()), address: "login@example.com".into() };
        Style { from, program: Program::Provisioner }
    }

    fn letter(workspace_name: &str) -> Letter {
        Letter {
            id: NoticeId::parse("01900000-0000-7000-8000-000000000001").unwrap(),
            workspace: WorkspaceId::parse("acme").unwrap(),
            workspace_name: workspace_name.to_owned(),
            address: "ada@acme.example".into(),
            is_wanted: true,
            notice: None,
            attempts: 1,
            created_at: Timestamp(1_767_225_600_000),
            due_at: Timestamp(1_767_225_600_000),
        }
    }

    fn notice(credential: &str) -> Notice {
        let excess = Excess { departed: 612, people: 2_000, limits: Limits { max: NonZeroU32::new(500).unwrap(), percent: 20 } };
        Notice::GuardHeld(Hold { credential: credential.to_owned(), excess, since: Timestamp(1_767_225_600_000) })
    }

    fn text(workspace_name: &str, credential: &str) -> String {
        let message = render(&letter(workspace_name), &notice(credential), &style()).unwrap();
        String::from_utf8(message.formatted()).unwrap()
    }

    #[test]
    fn a_held_change_is_told_as_people_read_it() {
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true, snapshot_path => "snapshots" }, {
            insta::assert_snapshot!("held", text("Acme", "01900000-0000-7000-8000-000000000002").replace('\r', ""));
        });
    }

    #[test]
    fn no_name_becomes_a_header_or_another_recipient() {
        let names = [
            "Acme\r\nBcc: eve@evil.example\r\n\r\nHello",
            "Acme\nX-Evil: 1",
            "Acm\u{e9}\r\nBcc: eve@evil.example",
            "Acme\u{2028}Bcc: x",
        ];

        for name in names {
            let sent = text(name, "id\r\nBcc: eve@evil.example");
            let head = sent.split("\r\n\r\n").next().unwrap();

            let fields: Vec<&str> = head.split("\r\n").filter(|line| !line.starts_with(' ')).collect();
            let known = [
                "From",
                "To",
                "Subject",
                "Date",
                "Message-ID",
                "Auto-Submitted",
                "MIME-Version",
                "Content-Type",
                "Content-Transfer-Encoding",
            ];
            assert!(fields.iter().all(|field| known.contains(&field.split(':').next().unwrap())), "{name:?}: {head}");
            assert_eq!(fields.len(), known.len(), "{head}");
            assert!(head.is_ascii(), "{head}");
            let message = render(&letter(name), &notice(name), &style()).unwrap();
            assert_eq!(message.envelope().to(), ["ada@acme.example".parse().unwrap()]);
        }
    }

    #[test]
    fn a_name_in_any_script_arrives() {
        let sent = text("B\u{fc}cher \u{30a2}\u{30af}\u{30e1}", "id");

        assert!(sent.is_ascii());
        let subject = sent.lines().find(|line| line.starts_with("Subject:")).unwrap();
        assert!(subject.contains("=?utf-8?"), "{subject}");
    }

    #[test]
    fn an_address_that_is_none_is_no_message() {
        for address in ["ada", "ada@acme.example\r\nBcc: eve@evil.example", ""] {
            assert!(probe(address, Timestamp(0), &style()).is_err(), "{address:?}");
        }
    }
}
