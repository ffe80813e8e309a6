//! The headers of every page: nothing runs, nothing is loaded, nobody frames it, nobody keeps it, nobody learns where it was.

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{Page, templates::CSS};

/// The headers to send with a page.
#[must_use]
pub fn headers(page: &Page) -> HeaderMap {
    let fixed: [(HeaderName, &'static str); 6] = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // The address of a callback or an invitation must not leave with the next request.
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    let mut headers: HeaderMap = fixed.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))).collect();
    if has_form(page) {
        // Under `no-referrer` browsers write `Origin: null` even on our own forms; of an address they tell the origin alone.
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("strict-origin"));
    }
    // A policy is ASCII; were it not, no page would be better than one without it.
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::try_from(policy(page)).unwrap_or(HeaderValue::from_static("sandbox")),
    );
    headers
}

fn policy(page: &Page) -> String {
    let style = STANDARD.encode(digest::digest(&digest::SHA256, CSS.as_bytes()));
    // These forms are answered with a redirect to a provider or an app, and browsers hold the whole chain to `form-action`.
    let forms = if has_form(page) { "" } else { "; form-action 'none'" };
    format!("default-src 'none'; style-src 'sha256-{style}'; img-src data:; base-uri 'none'; frame-ancestors 'none'{forms}")
}

fn has_form(page: &Page) -> bool {
    match page {
        Page::SignIn { .. } | Page::Password { .. } | Page::SignOut { .. } | Page::SetPassword { .. } => true,
        Page::Choose { .. } | Page::SignedOut { .. } | Page::Denied { .. } | Page::Problem(_) => false,
    }
}
