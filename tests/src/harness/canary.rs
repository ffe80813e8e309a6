//! No secret may reach a log (requirement R84): every secret that a test gives to a program is remembered here, and every log of
//! those programs is searched for it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Shorter values would be found by chance.
const SHORTEST: usize = 8;

/// The secrets of one site and the logs that must not hold them.
#[derive(Debug, Default)]
pub struct Canary {
    secrets: Vec<Secret>,
    logs: Vec<PathBuf>,
}

#[derive(Debug)]
struct Secret {
    name: String,
    value: String,
}

/// A secret that was found in a log; it names the secret without repeating it.
#[derive(Debug, Eq, PartialEq)]
pub struct Leak {
    /// Which secret.
    pub secret: String,
    /// In which log.
    pub log: PathBuf,
    /// On which line, from 1.
    pub line: usize,
}

impl Canary {
    /// Remembers a secret.
    pub fn secret(&mut self, name: &str, value: &str) {
        if value.len() >= SHORTEST && !self.secrets.iter().any(|known| known.value == value) {
            self.secrets.push(Secret { name: name.to_owned(), value: value.to_owned() });
        }
    }

    /// Remembers a log.
    pub fn log(&mut self, path: &Path) {
        if !self.logs.iter().any(|known| known == path) {
            self.logs.push(path.to_owned());
        }
    }

    /// How many secrets are looked for.
    #[must_use]
    pub fn secrets(&self) -> usize {
        self.secrets.len()
    }

    /// Every secret found in a log, as it is or percent-encoded.
    pub fn leaks(&self) -> io::Result<Vec<Leak>> {
        let mut leaks = Vec::new();
        for log in &self.logs {
            let text = fs::read(log)?;
            let text = String::from_utf8_lossy(&text);
            for (number, line) in text.lines().enumerate() {
                let found = self.secrets.iter().filter(|secret| secret.is_in(line));
                leaks.extend(found.map(|secret| Leak { secret: secret.name.clone(), log: log.clone(), line: number + 1 }));
            }
        }
        Ok(leaks)
    }
}

impl Secret {
    fn is_in(&self, line: &str) -> bool {
        let encoded: String = url::form_urlencoded::byte_serialize(self.value.as_bytes()).collect();
        line.contains(&self.value) || line.contains(&encoded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::Scratch;

    #[test]
    fn a_secret_in_a_log_is_found_in_either_spelling() {
        let scratch = Scratch::new("canary").unwrap();
        let log = scratch.write("log", "started\ntoken=s3cr3t/+key\nGET /?t=s3cr3t%2F%2Bkey\n").unwrap();
        let mut canary = Canary::default();
        canary.secret("the token", "s3cr3t/+key");
        canary.secret("too short", "t");
        canary.log(&log);

        let lines: Vec<usize> = canary.leaks().unwrap().iter().map(|leak| leak.line).collect();

        assert_eq!(lines, [2, 3]);
    }

    #[test]
    fn a_clean_log_has_no_leak() {
        let scratch = Scratch::new("canary").unwrap();
        let log = scratch.write("log", "started\n").unwrap();
        let mut canary = Canary::default();
        canary.secret("the token", "s3cr3t/+key");
        canary.log(&log);

        assert_eq!(canary.leaks().unwrap(), []);
    }
}
