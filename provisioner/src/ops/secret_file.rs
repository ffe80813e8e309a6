//! Secrets from files: an argument would stand in the list of processes and in the shell's history.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::OpsError;

/// No client secret comes near this.
const LIMIT: u64 = 64 * 1024;

/// Reads the secret of a file, or of standard input for `-`: one line, without its end.
pub(super) async fn read(path: PathBuf) -> Result<String, OpsError> {
    let of = path.clone();
    let read = tokio::task::spawn_blocking(move || read_text(&of)).await.map_err(io::Error::other).and_then(|read| read);
    let text = read.map_err(|source| OpsError::SecretFile { path: path.clone(), source })?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() || secret.chars().any(char::is_control) {
        return Err(OpsError::NoSecret(path));
    }
    Ok(secret.to_owned())
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    if path.as_os_str() == "-" {
        io::stdin().lock().take(LIMIT).read_to_string(&mut text)?;
    } else {
        File::open(path)?.take(LIMIT).read_to_string(&mut text)?;
    }
    Ok(text)
}
