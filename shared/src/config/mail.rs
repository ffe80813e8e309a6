//! `[mail]`: how invitations leave the house.

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::reader::Section;

/// `[mail]`.
#[derive(Debug, Clone)]
pub struct Mail {
    /// The SMTP server; may hold a password.
    pub smtp_url: SecretString,
    /// The sender's address.
    pub from: String,
}

impl Mail {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let is_given = section.is_given();
        let smtp_url = section.secret("smtp_url", "smtp_url_file");
        let from = section.get_with_origin::<String>("from");
        if let Some((url, origin)) = &smtp_url
            && !is_smtp(url.expose_secret())
        {
            let reason = "is not an SMTP URL; expected \"smtps://user:password@mail.example.com\"".to_owned();
            section.invalid("smtp_url", origin.clone(), reason);
        }
        if let Some((from, origin)) = &from
            && !from.contains('@')
        {
            section.invalid("from", origin.clone(), "must be a mail address, such as \"login@example.com\"".to_owned());
        }
        if is_given && !section.has_problems() {
            if smtp_url.is_none() {
                section.missing("mail.smtp_url", "give the server, such as \"smtps://mail.example.com\", or leave [mail] out");
            }
            if from.is_none() {
                section.missing("mail.from", "give the sender's address, such as \"login@example.com\"");
            }
        }
        section.finish();
        Some(Self { smtp_url: smtp_url?.0, from: from?.0 })
    }
}

fn is_smtp(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "smtp" | "smtps") && url.has_host())
}
