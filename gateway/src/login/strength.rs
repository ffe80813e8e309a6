//! Which passwords may be set: long enough, not everybody's, not the address, not one key held down. No rule about kinds of
//! characters (NIST SP 800-63B, section 3.1.1.2).

use lockstep_shared::model::text::fold;

/// The shortest password, in characters.
pub(super) const MIN_LENGTH: usize = 12;
/// The longest, in bytes; pass phrases are shorter.
pub(super) const MAX_BYTES: usize = 1024;
/// Fewer different characters than this make a pattern and no password.
const LEAST_DIFFERENT: usize = 5;

/// What guessers try first, of those that are long enough; compared in lower case and without what is not a letter or digit.
const COMMON: &[&str] = &[
    "123456789012",
    "1234567890123",
    "12345678901234",
    "123456789123",
    "1234567890qwerty",
    "1q2w3e4r5t6y",
    "1qaz2wsx3edc",
    "abcdefghijkl",
    "administrator",
    "adminadminadmin",
    "changemechangeme",
    "changemenow",
    "correcthorsebatterystaple",
    "iloveyouforever",
    "letmeinletmein",
    "lockstep1234",
    "passwordpassword",
    "password1234",
    "password12345",
    "password123456",
    "passw0rd1234",
    "q1w2e3r4t5y6",
    "qwerty123456",
    "qwertyuiop123",
    "qwertyuiopasdf",
    "qwertyuiopasdfghjkl",
    "trustno1trustno1",
    "welcome12345",
    "welcome123456",
    "zaq12wsxcde3",
];

/// Whether a password is too easy to guess for this address.
pub(super) fn is_weak(password: &str, email: &str) -> bool {
    let folded = fold(password);
    let plain: String = folded.chars().filter(|c| c.is_alphanumeric()).collect();
    let mut different: Vec<char> = folded.chars().collect();
    different.sort_unstable();
    different.dedup();
    let email = fold(email);
    let name = email.split('@').next().unwrap_or_default();
    let is_email = folded == email || (name.len() >= 3 && folded.strip_prefix(name).is_some_and(|rest| rest.len() <= 4));
    password.chars().count() < MIN_LENGTH
        || password.len() > MAX_BYTES
        || different.len() < LEAST_DIFFERENT
        || COMMON.contains(&plain.as_str())
        || is_email
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_guessers_try_first_is_weak() {
        let long = "x1!y".repeat(300);
        for weak in [
            "",
            "elevenchars",
            "Password1234",
            "PASSWORD-1234",
            "qwerty 123456",
            "aaaaaaaaaaaaaaaa",
            "abababababababab",
            "            ",
            "anna.berg@company.com",
            "Anna.Berg@Company.com",
            "anna.berg2026",
            long.as_str(),
        ] {
            assert!(is_weak(weak, "anna.berg@company.com"), "{weak:.40}");
        }
    }

    #[test]
    fn a_phrase_is_not_weak_whatever_its_characters() {
        for good in
            ["twelve chars", "correct horse battery", "пароль из слов", "ünïcödé wörds", "anna.berg likes trains", "kx!9dfw2mq#z"]
        {
            assert!(!is_weak(good, "anna.berg@company.com"), "{good}");
        }
    }
}
